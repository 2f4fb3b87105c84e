"""From a request's image to its logits: let in or refused at once, worked on in threads, awaited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pictag.images import ImageLimits, Source
from pictag.images.decode import check_size
from pictag.images.header import read_size
from pictag.images.sniff import HEAD_BYTES, recognise
from pictag.preprocess.sizes import check_resized_size
from pictag.server.admission import Admission, WorkLimits
from pictag.server.fetching import Fetcher
from pictag.server.loop_pause import LoopPause
from pictag.server.queue import WorkQueue
from pictag.server.refusals import BadRequest, DeadlinePassed, Overloaded, refuse_while_stopping
from pictag.server.work import Work
from pictag.server.workers import RunMetrics, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pictag.server.served import ServedModel

__all__ = ["DispatchMetrics", "Dispatcher", "WorkLimits"]

_CROWD = 8  # images that wait for each worker: there is work for a while


class DispatchMetrics(RunMetrics, Protocol):
    """What the dispatcher counts."""

    def refused(self, reason: str) -> None:
        """An image was not let in."""

    def abandoned(self) -> None:
        """An image was not run because nobody waited for it any more."""

    def expired(self) -> None:
        """An image was not run because its deadline had passed."""


class Dispatcher:
    """Classifies images for many clients at a time. Used from one event loop.

    ``workers`` threads (one for each core) decode and run; at most ``max_batch`` images go into one run.
    Deadlines are on `time.monotonic`. Whoever is cancelled while waiting has their image forgotten.
    """

    def __init__(self, *, workers: int, max_batch: int, limits: WorkLimits, metrics: DispatchMetrics) -> None:
        self._limits = limits
        self._image_limits = ImageLimits(max_pixels=limits.max_pixels)
        self._metrics = metrics
        self._admission = Admission(limits, workers=workers)
        self._fetcher = Fetcher(limits.fetch)
        self._queue = WorkQueue(workers=workers, max_batch=max_batch)
        self._workers = Workers(self._queue, count=workers, finish=self._hand_over, metrics=metrics)
        self._under_way: set[Work] = set()
        self._finished: deque[Work] = deque()
        self._is_waking = False
        self._pause = LoopPause()
        self._crowd = _CROWD * workers
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def queued(self) -> int:
        """Images that were let in and wait for a worker."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Images that workers have in hand."""
        return max(0, len(self._under_way) - len(self._queue))

    def check_room(self, served: ServedModel, *, size_bytes: int, deadline_s: float) -> None:
        """Raise `Overloaded` for an image of this size that is only announced, where it would be refused."""
        try:
            if self._is_stopping:
                raise refuse_while_stopping()
            self._admission.check_room(served, size_bytes=size_bytes, left_s=deadline_s - time.monotonic())
        except Overloaded as refusal:
            self._metrics.refused(refusal.reason)
            if len(self._queue) >= self._crowd:  # or it is this client that is in a hurry
                self._pause.plan()
            raise

    async def classify(
        self,
        served: ServedModel,
        data: bytes | Source,
        *,
        deadline_s: float,
    ) -> NDArray[np.float32]:
        """The logits [L] of one encoded image (or of a URL's, where the limits allow that).

        Raises `Overloaded` at once where it cannot be done in time, `ImageTooLarge` from the image's
        header, and `DeadlinePassed` at ``deadline_s``; otherwise what the pipeline raises for this image.
        """
        source = data if isinstance(data, Source) else Source(name="<bytes>", kind="bytes", value=data)
        if source.kind == "url":
            try:
                fetched = await self._fetcher.fetch(source.value, deadline_s=deadline_s)
            except Overloaded as refusal:
                self._metrics.refused(refusal.reason)
                raise
            source = Source(name=source.name, kind="bytes", value=fetched)
        elif source.kind != "bytes":  # nobody's words may open a file here
            raise BadRequest(f"A server takes an image's bytes or its URL, and this is a {source.kind}.")
        pixels = self._count_pixels(served, source)
        work = self._admit(
            served, source, None, size_bytes=len(source.value), pixels=pixels, deadline_s=deadline_s
        )
        return await self._finish(work)

    async def infer(
        self,
        served: ServedModel,
        pixel_values: NDArray[np.float32],
        *,
        deadline_s: float,
    ) -> NDArray[np.float32]:
        """The logits [L] of one image that is prepared already: float32 [1, C, H, W].

        Raises `BadRequest` for a tensor that the model does not take, and as `classify` does.
        """
        _check_tensor(served, pixel_values)
        work = self._admit(
            served, None, pixel_values, size_bytes=pixel_values.nbytes, pixels=0, deadline_s=deadline_s
        )
        return await self._finish(work)

    async def drain(self, timeout_s: float) -> bool:
        """Let nothing more in and finish what was let in; false where ``timeout_s`` did not suffice."""
        self._is_stopping = True
        until = time.monotonic() + timeout_s
        while self._under_way and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return not self._under_way

    def close(self) -> None:
        """Stop the workers, each after what it has in hand; what still waits is refused."""
        self._is_stopping = True
        left = self._queue.close()
        if left:
            self._hand_over(left)
        self._workers.join()
        if self._loop is not None and not self._loop.is_closed():
            self._settle()

    def _count_pixels(self, served: ServedModel, source: Source) -> int:
        """Pixels that the header announces; where it tells nothing, as many as there may be."""
        size = read_size(source.value)
        if size is None:
            form = recognise(source.value[:HEAD_BYTES])
            # What will not be opened costs nothing.
            return self._limits.max_pixels if form is not None and form.opened else 0
        if size[0] > 0 and size[1] > 0:
            check_size(size, name=source.name, limits=self._image_limits)
            check_resized_size(served.classifier.model.spec, size[::-1], max_pixels=self._limits.max_pixels)
        return size[0] * size[1]

    def _admit(
        self,
        served: ServedModel,
        source: Source | None,
        pixel_values: NDArray[np.float32] | None,
        *,
        size_bytes: int,
        pixels: int,
        deadline_s: float,
    ) -> Work:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._is_waking = loop, False
        try:
            if self._is_stopping:
                raise refuse_while_stopping()
            left_s = deadline_s - time.monotonic()
            cost = self._admission.admit(served, size_bytes=size_bytes, pixels=pixels, left_s=left_s)
        except Overloaded as refusal:
            self._metrics.refused(refusal.reason)
            raise
        work = Work(
            served=served,
            source=source,
            pixel_values=pixel_values,
            deadline_s=deadline_s,
            cost=cost,
            future=loop.create_future(),
        )
        self._under_way.add(work)
        return work

    async def _finish(self, work: Work) -> NDArray[np.float32]:
        self._queue.put([work])
        left_s = max(0.0, work.deadline_s - time.monotonic())
        timer = work.future.get_loop().call_later(left_s, self._expire, work)
        try:
            return await work.future
        finally:
            timer.cancel()
            if work.future.done() and not work.future.cancelled():
                work.future.exception()  # or one who left just now would be told of in the log
            self._forget(work)

    def _expire(self, work: Work) -> None:
        if not work.future.done():
            work.future.set_exception(_too_late())
            self._forget(work)

    def _forget(self, work: Work) -> None:
        """Nobody waits for it: it leaves now, or when the worker that has it sees that."""
        work.is_wanted = False
        if work in self._under_way and self._queue.discard(work):
            self._leave(work)

    def _hand_over(self, works: Sequence[Work]) -> None:
        """Called by workers. One wake-up of the loop serves all who finish until it comes."""
        self._finished.extend(works)
        if not self._is_waking and self._loop is not None:
            self._is_waking = True
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._is_waking = False  # before looking: who comes later wakes the loop again
        while self._finished:
            work = self._finished.popleft()
            if work not in self._under_way:
                continue
            if not work.future.done():
                if work.logits is not None:
                    work.future.set_result(work.logits)
                elif work.error is not None:
                    work.future.set_exception(work.error)
                elif self._is_stopping and time.monotonic() < work.deadline_s:
                    work.future.set_exception(refuse_while_stopping())
                else:
                    work.future.set_exception(_too_late())
            self._admission.learn(work)
            self._leave(work)

    def _leave(self, work: Work) -> None:
        self._under_way.discard(work)
        self._admission.leave(work.cost)
        if work.logits is None and work.error is None:
            if work.future.cancelled():
                self._metrics.abandoned()
            else:
                self._metrics.expired()
        work.is_wanted = False
        work.source = work.pixel_values = None


def _too_late() -> DeadlinePassed:
    return DeadlinePassed("The time allowed for the request was over before its image was classified.")


def _check_tensor(served: ServedModel, pixel_values: NDArray[np.float32]) -> None:
    """Raise `BadRequest` for what would fail, or spoil, a run that others are part of."""
    model, taken = served.classifier.model, served.classifier.engine.inputs[0].shape
    sides = taken[2:] if model.layout == "NCHW" else taken[1:3]
    wanted: list[int | None] = [None, model.spec.channels, *sides]
    shape = pixel_values.shape
    fits = len(shape) == 4 and shape[0] == 1
    if not fits or any(want not in (None, have) for want, have in zip(wanted, shape, strict=True)):
        shown = ", ".join("any" if want is None else str(want) for want in [1, *wanted[1:]])
        raise BadRequest(f"The model takes a tensor of shape [{shown}], and this one is {list(shape)}.")
    if pixel_values.dtype != np.float32 or not np.isfinite(pixel_values).all():
        raise BadRequest("The model takes finite numbers in float32.")
