"""The models of a server: loaded when they are first needed, once, and unloaded when nobody needs them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from pictag.errors import PictagError, shorten
from pictag.server.entries import FIRST_PAUSE_S, Entry, Loaded
from pictag.server.refusals import ModelUnknown, NotReady
from pictag.server.served import ModelSpec, ModelStatus, ServedModel, make_served, open_pipeline
from pictag.server.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pictag.pipelines import ImageClassificationPipeline

__all__ = ["ModelSpec", "ModelStatus", "Registry", "ServedModel", "open_pipeline"]

_SLOW_LOAD_S = 2.0  # until the log says that there is no answer yet because of a load
_LONGEST_PAUSE_S = 60.0  # after a failed load; doubled each time

_log = logging.getLogger("pictag.server")


class Registry:
    """Models by name, the first of them the default. Used from one event loop.

    ``open_pipeline`` opens a model, in a thread of its own. ``memory_budget_bytes`` bounds the weights of
    all models that are loaded: those that were not used for the longest time are unloaded for others, and a
    model in use never. Under a budget one model is loaded at a time; room is made before that where its size
    is known from an earlier load, and after it where it is not. ``idle_s`` has a model unloaded that nobody
    used for so long. With ``preload``, `start` loads all.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        *,
        open_pipeline: Callable[[ModelSpec], ImageClassificationPipeline] = open_pipeline,
        memory_budget_bytes: int | None = None,
        idle_s: float | None = None,
        preload: bool = False,
    ) -> None:
        if not specs:
            raise ValueError("a registry needs at least one model")
        self._entries = {spec.name: Entry(spec) for spec in specs}
        if len(self._entries) < len(specs):
            raise ValueError("two models have the same name")
        self._open = open_pipeline
        self._budget_bytes = memory_budget_bytes
        self._idle_s = idle_s
        self._preload = preload
        self._one_load = asyncio.Lock()
        self._retired: set[Loaded] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def default(self) -> str:
        """The name of the model that answers where none is named."""
        return next(iter(self._entries))

    def names(self) -> tuple[str, ...]:
        """The models' names, the default first."""
        return tuple(self._entries)

    def check(self, name: str) -> None:
        """Raise `ModelUnknown` where there is no such model."""
        self._find(name)

    def describe(self, name: str) -> ModelStatus:
        """What is known of a model now. Raises `ModelUnknown`."""
        entry = self._find(name)
        loaded = entry.loaded.served.classifier if entry.loaded else None
        return ModelStatus(
            name=name,
            reference=entry.spec.reference,
            state=entry.state,
            # Whoever comes waits for a model that is loaded again; the first load may take minutes.
            takes_requests=entry.state in ("ready", "unloaded")
            or (entry.state == "loading" and entry.was_loaded),
            labels=loaded.labels if loaded else None,
            card=loaded.card if loaded else None,
            error=None if entry.error is None else shorten(entry.error),
        )

    async def start(self) -> None:
        """Load all models, where that was asked for. Raises an error after all were tried."""
        if not self._preload:
            return
        failed: Exception | None = None
        for entry in reversed(self._entries.values()):  # the default last: under a budget the newest stay
            try:
                await self._load(entry)
            except Exception as error:  # noqa: BLE001 - the others are tried all the same
                failed = error
        if failed is not None:
            raise failed

    def peek(self, name: str) -> ServedModel | None:
        """The model where it is loaded; nobody holds it. Raises `ModelUnknown`."""
        loaded = self._find(name).loaded
        return None if loaded is None else loaded.served

    @contextlib.asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[ServedModel]:
        """Hold a model while it is used; it is loaded first where it is not.

        Raises `ModelUnknown`, and what kept the model from being loaded: whoever waits is told, and so is
        whoever comes within a pause that grows with each failure.
        """
        entry = self._find(name)
        loaded = entry.loaded or await self._load(entry)
        loaded.uses += 1
        try:
            yield loaded.served
        finally:
            self._release(loaded)

    async def replace(self, name: str) -> None:
        """Load a model anew and put it in the place of the old, which is closed when its last use ends.

        Where the new one cannot be loaded the old one stays, and the error is raised.
        """
        entry = self._find(name)
        while entry.loading is not None:
            await asyncio.wait([entry.loading])
        await self._share_load(entry)

    async def reload(self) -> None:
        """Replace all models that are loaded, one by one; a failure is logged, and the old one stays."""
        for entry in tuple(self._entries.values()):
            entry.error = None  # what had failed may be tried at once
            if entry.loaded is not None and not self._is_closed:
                try:
                    await self.replace(entry.spec.name)
                except Exception:  # noqa: BLE001 - it was logged, and the others are replaced all the same
                    continue
                _log.info("model %s is replaced", entry.spec.name)

    async def close(self) -> None:
        """Unload all, in use or not; what is being loaded is left to itself."""
        self._is_closed = True
        for entry in self._entries.values():
            if entry.loading is not None:
                entry.loading.cancel()
            self._unload(entry)
        for loaded in tuple(self._retired):
            self._close(loaded)
        if self._closing:
            await asyncio.wait(self._closing)

    def _find(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            known = shorten(", ".join(self._entries))
            raise ModelUnknown(f"There is no model {shorten(repr(name), 100)}; there are: {known}.")
        return entry

    async def _load(self, entry: Entry) -> Loaded:
        if entry.loading is None and entry.error is not None and time.monotonic() < entry.retry_at:
            # Without the traces of all who were told before.
            raise entry.error.with_traceback(None)
        return await self._share_load(entry)

    async def _share_load(self, entry: Entry) -> Loaded:
        if self._is_closed:
            raise NotReady("The server is stopping.")
        if entry.loading is None:
            entry.loading = asyncio.create_task(self._open_anew(entry), name=f"load {entry.spec.name}")
            # Where all who waited have left, nobody asks.
            entry.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        task = entry.loading
        entry.waiting += 1
        try:
            await asyncio.wait([task])  # one who leaves does not end the load for the others
        finally:
            entry.waiting -= 1
        if task.cancelled():
            raise NotReady("The server is stopping.")
        error = task.exception()
        if error is not None:
            raise error.with_traceback(None)
        return task.result()

    async def _open_anew(self, entry: Entry) -> Loaded:
        patience = asyncio.get_running_loop().call_later(
            _SLOW_LOAD_S, _log.info, "model %s is being loaded, and perhaps downloaded", entry.spec.name
        )
        one_load = self._one_load if self._budget_bytes is not None else contextlib.nullcontext()
        try:
            async with one_load:
                self._keep_budget(entry, entry.size_bytes)
                if self._closing and self._budget_bytes is not None:
                    await asyncio.wait(self._closing)
                served = await run_in_thread(
                    lambda: make_served(entry.spec, self._open(entry.spec)), name="pictag-load"
                )
        except Exception as error:
            known = isinstance(error, PictagError)
            _log.error(
                "model %s was not loaded: %s",
                entry.spec.name,
                shorten(error, 1000),  # to its end, where it says what helps
                exc_info=None if known and not _log.isEnabledFor(logging.DEBUG) else error,
            )
            if entry.loaded is None:  # or the old one stays, and all is well
                entry.error = error
                entry.retry_at = time.monotonic() + entry.pause_s
                entry.pause_s = min(2 * entry.pause_s, _LONGEST_PAUSE_S)
            raise
        finally:
            entry.loading = None
            patience.cancel()
        loaded = Loaded(served)
        entry.error, entry.pause_s = None, FIRST_PAUSE_S
        entry.was_loaded, entry.size_bytes = True, served.size_bytes
        self._unload(entry)
        entry.loaded = loaded
        self._watch(entry)
        self._keep_budget(entry)
        return loaded

    def _release(self, loaded: Loaded) -> None:
        loaded.uses -= 1
        loaded.last_used = time.monotonic()
        if loaded.uses == 0:
            if loaded.is_retired:
                self._close(loaded)
            elif self._budget_bytes is not None:
                self._keep_budget(None)

    def _keep_budget(self, newest: Entry | None, more_bytes: int = 0) -> None:
        """Unload idle models, those first that were not used for the longest time, until the rest fits.

        ``newest`` is kept, and ``more_bytes`` are to fit in beside it.
        """
        if self._budget_bytes is None:
            return
        loaded = [entry for entry in self._entries.values() if entry.loaded is not None]
        held = [*(entry.loaded for entry in loaded if entry.loaded), *self._retired]
        size = more_bytes + sum(one.served.size_bytes for one in held)
        idle = [entry for entry in loaded if entry.is_idle and entry is not newest]
        for entry in sorted(idle, key=lambda entry: entry.loaded.last_used if entry.loaded else 0.0):
            if size <= self._budget_bytes or entry.loaded is None:
                return
            size -= entry.loaded.served.size_bytes
            self._unload(entry)

    def _watch(self, entry: Entry) -> None:
        """Unload a model when nobody has used it for long enough; until then look again."""
        if self._idle_s is None or entry.loaded is None:
            return
        loaded = entry.loaded
        left_s = loaded.last_used + self._idle_s - time.monotonic() if entry.is_idle else self._idle_s
        if left_s <= 0:
            self._unload(entry)
            return
        entry.timer = asyncio.get_running_loop().call_later(left_s, self._watch, entry)

    def _unload(self, entry: Entry) -> None:
        loaded, entry.loaded = entry.loaded, None
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        if loaded is None:
            return
        loaded.is_retired = True
        self._retired.add(loaded)
        if loaded.uses == 0:
            self._close(loaded)

    def _close(self, loaded: Loaded) -> None:
        if loaded not in self._retired:
            return
        self._retired.discard(loaded)
        _log.info("model %s is unloaded", loaded.served.name)
        task = asyncio.create_task(run_in_thread(loaded.served.classifier.close, name="pictag-unload"))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
