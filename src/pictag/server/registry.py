"""The models of a server: loaded once when first needed, unloaded when idle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from pictag.errors import PictagError, shorten
from pictag.server.http_errors import ModelNotServed, NotReady
from pictag.server.served_model import FIRST_BACKOFF_S, Loaded, ModelSlot, ModelStatus, open_model
from pictag.server.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pictag.server.served_model import ModelSpec, ServedModel

_SLOW_LOAD_S = 2.0  # after which the log says that a model is being loaded
_MAX_BACKOFF_S = 60.0  # the pause after a failed load doubles up to this

_log = logging.getLogger("pictag.server")


class Registry:
    """Models by name; the first is the default. Used from one event loop.

    ``open_model`` is called in its own thread. ``memory_budget_bytes`` limits the weights of all loaded
    models: the least recently used ones are unloaded to make room, but never a model in use. Under a budget
    models are loaded one at a time; room is made before the load if the model's size is known from an
    earlier one, otherwise after it. A model that hasn't been used for ``idle_s`` is unloaded. With
    ``preload``, `start` loads all models.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        *,
        open_model: Callable[[ModelSpec], ServedModel] = open_model,
        memory_budget_bytes: int | None = None,
        idle_s: float | None = None,
        preload: bool = False,
    ) -> None:
        if not specs:
            raise ValueError("a registry needs at least one model")
        self._slots = {spec.name: ModelSlot(spec) for spec in specs}
        if len(self._slots) < len(specs):
            raise ValueError("two models have the same name")
        self._open = open_model
        self._budget_bytes = memory_budget_bytes
        self._idle_s = idle_s
        self._preload = preload
        self._one_load = asyncio.Lock()
        self._retired: set[Loaded] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def default(self) -> str:
        """The name of the model for requests that don't name one."""
        return next(iter(self._slots))

    def names(self) -> tuple[str, ...]:
        """The models' names, the default first."""
        return tuple(self._slots)

    def check(self, name: str) -> str:
        """The name itself; raises `ModelNotServed` if there is no such model."""
        return self._find(name).spec.name

    def describe(self, name: str) -> ModelStatus:
        """A model's current status. Raises `ModelNotServed`."""
        slot = self._find(name)
        loaded = slot.loaded.served.runner.model if slot.loaded else None
        return ModelStatus(
            name=name,
            state=slot.state,
            # A repeated load is worth waiting for; the first one may take minutes.
            takes_requests=slot.state in ("ready", "unloaded")
            or (slot.state == "loading" and slot.was_loaded),
            labels=loaded.labels if loaded else None,
            card=loaded.card if loaded else None,
            error=None if slot.error is None else shorten(slot.error),
        )

    async def start(self) -> None:
        """Load all models if ``preload`` is set. Tries all of them before raising an error."""
        if not self._preload:
            return
        failed: Exception | None = None
        for slot in reversed(self._slots.values()):  # the default last: under a budget the most recent stay
            try:
                await self._load(slot)
            except Exception as error:  # noqa: BLE001 - raised after the others were tried
                failed = error
        if failed is not None:
            raise failed

    def peek(self, name: str) -> ServedModel | None:
        """The model if it is loaded, without holding it. Raises `ModelNotServed`."""
        loaded = self._find(name).loaded
        return None if loaded is None else loaded.served

    @contextlib.asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[ServedModel]:
        """Hold a model while it is used, loading it first if necessary.

        Raises `ModelNotServed`, and the error of a failed load: to all who waited for it, and to all who come
        before it is tried again.
        """
        slot = self._find(name)
        loaded = slot.loaded or await self._load(slot)
        loaded.uses += 1
        try:
            yield loaded.served
        finally:
            self._release(loaded)

    async def reload(self) -> None:
        """Replace all loaded models, one by one; an old one is closed when its last use ends.

        After a failure, which is logged, the old one stays.
        """
        for slot in tuple(self._slots.values()):
            slot.error = None  # a failed model may be tried again at once
            while slot.loading is not None:
                await asyncio.wait([slot.loading])
            if slot.loaded is not None and not self._is_closed:
                with contextlib.suppress(Exception):  # already logged; the others are still replaced
                    await self._share_load(slot)
                    _log.info("model %s reloaded", slot.spec.name)

    async def close(self) -> None:
        """Unload all models, in use or not; loads under way are abandoned."""
        self._is_closed = True
        for slot in self._slots.values():
            if slot.loading is not None:
                slot.loading.cancel()
            self._unload(slot)
        for loaded in tuple(self._retired):
            self._close(loaded)
        if self._closing:
            await asyncio.wait(self._closing)

    def _find(self, name: str) -> ModelSlot:
        slot = self._slots.get(name)
        if slot is None:
            # Without their names: only clients with the API key may see them, and health checks need none.
            raise ModelNotServed(f"Unknown model: {shorten(repr(name), 100)}. GET /models lists the models.")
        return slot

    async def _load(self, slot: ModelSlot) -> Loaded:
        if slot.loading is None and slot.error is not None and time.monotonic() < slot.retry_at:
            # Without the tracebacks of earlier requests.
            raise slot.error.with_traceback(None)
        return await self._share_load(slot)

    async def _share_load(self, slot: ModelSlot) -> Loaded:
        if self._is_closed:
            raise NotReady("The server is stopping.")
        if slot.loading is None:
            slot.loading = asyncio.create_task(self._open_and_store(slot), name=f"load {slot.spec.name}")
            # Marks an exception as retrieved even if nobody waits any more.
            slot.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        task = slot.loading
        slot.waiting += 1
        try:
            await asyncio.wait([task])  # a cancelled request does not end the load for the others
        finally:
            slot.waiting -= 1
        if task.cancelled():
            raise NotReady("The server is stopping.")
        error = task.exception()
        if error is not None:
            raise error.with_traceback(None)
        return task.result()

    async def _open_and_store(self, slot: ModelSlot) -> Loaded:
        notice = asyncio.get_running_loop().call_later(
            _SLOW_LOAD_S, _log.info, "model %s is being loaded or downloaded", slot.spec.name
        )
        one_load = self._one_load if self._budget_bytes is not None else contextlib.nullcontext()
        try:
            async with one_load:
                self._keep_budget(slot, slot.size_bytes)
                if self._closing and self._budget_bytes is not None:
                    await asyncio.wait(self._closing)
                served = await run_in_thread(lambda: self._open(slot.spec), name="pictag-load")
        except Exception as error:
            known = isinstance(error, PictagError)
            _log.error(
                "model %s could not be loaded: %s",
                slot.spec.name,
                shorten(error, 1000),  # long enough for the hint at its end
                exc_info=None if known and not _log.isEnabledFor(logging.DEBUG) else error,
            )
            if slot.loaded is None:  # otherwise the old one stays
                slot.error = error
                slot.retry_at = time.monotonic() + slot.backoff_s
                slot.backoff_s = min(2 * slot.backoff_s, _MAX_BACKOFF_S)
            raise
        finally:
            slot.loading = None
            notice.cancel()
        loaded = Loaded(served)
        slot.error, slot.backoff_s = None, FIRST_BACKOFF_S
        slot.was_loaded, slot.size_bytes = True, served.size_bytes
        self._unload(slot)
        slot.loaded = loaded
        self._watch(slot)
        self._keep_budget(slot)
        return loaded

    def _release(self, loaded: Loaded) -> None:
        loaded.uses -= 1
        loaded.last_used = time.monotonic()
        if loaded.uses == 0:
            if loaded.is_retired:
                self._close(loaded)
            elif self._budget_bytes is not None:
                self._keep_budget(None)

    def _keep_budget(self, newest: ModelSlot | None, more_bytes: int = 0) -> None:
        """Unload idle models, least recently used first, until the rest and ``more_bytes`` fit.

        ``newest`` is kept.
        """
        if self._budget_bytes is None:
            return
        loaded = [slot for slot in self._slots.values() if slot.loaded is not None]
        held = [*(slot.loaded for slot in loaded if slot.loaded), *self._retired]
        size = more_bytes + sum(one.served.size_bytes for one in held)
        idle = [slot for slot in loaded if slot.is_idle and slot is not newest]
        for slot in sorted(idle, key=lambda slot: slot.loaded.last_used if slot.loaded else 0.0):
            if size <= self._budget_bytes or slot.loaded is None:
                return
            size -= slot.loaded.served.size_bytes
            self._unload(slot)

    def _watch(self, slot: ModelSlot) -> None:
        """Unload a model that hasn't been used for ``idle_s``; otherwise check again later."""
        if self._idle_s is None or slot.loaded is None:
            return
        loaded = slot.loaded
        left_s = loaded.last_used + self._idle_s - time.monotonic() if slot.is_idle else self._idle_s
        if left_s <= 0:
            self._unload(slot)
            return
        slot.timer = asyncio.get_running_loop().call_later(left_s, self._watch, slot)

    def _unload(self, slot: ModelSlot) -> None:
        loaded, slot.loaded = slot.loaded, None
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None
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
        _log.info("model %s unloaded", loaded.served.name)
        task = asyncio.create_task(run_in_thread(loaded.served.close, name="pictag-unload"))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
