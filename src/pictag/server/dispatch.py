"""From an image to its logits: admitted or rejected at once, processed in worker threads, awaited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from pictag.images import ImageLimits, Source
from pictag.images.decode import check_size
from pictag.images.header import read_size
from pictag.images.sniff import HEAD_BYTES, recognise
from pictag.preprocess.sizes import check_resized_size
from pictag.server.admission import Admission, WorkLimits
from pictag.server.fetcher import Fetcher
from pictag.server.http_errors import BadRequest, DeadlineExceeded, Overloaded, stopping_error
from pictag.server.queue import WorkQueue
from pictag.server.work import Work
from pictag.server.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pictag.server.metrics import Metrics
    from pictag.server.served_model import ServedModel

__all__ = ["Dispatcher", "WorkLimits"]


class Dispatcher:
    """Classifies images for many clients at a time. Used from one event loop.

    ``workers`` threads decode images and run the model on at most ``max_batch`` images at a time. Deadlines
    are on `time.monotonic`. An image whose awaiting task is cancelled is dropped.
    """

    def __init__(self, *, workers: int, max_batch: int, limits: WorkLimits, metrics: Metrics) -> None:
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
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def queued(self) -> int:
        """Admitted images that wait for a worker."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Images that workers are processing."""
        return max(0, len(self._under_way) - len(self._queue))

    def check_room(self, served: ServedModel, *, size_bytes: int, deadline_s: float) -> None:
        """Raise `Overloaded` if an image of this size, whose body has not arrived yet, would be rejected."""
        try:
            if self._is_stopping:
                raise stopping_error()
            self._admission.check_room(served, size_bytes=size_bytes, left_s=deadline_s - time.monotonic())
        except Overloaded as error:
            self._metrics.refused(error.reason)
            raise

    async def classify(
        self,
        served: ServedModel,
        data: bytes | Source,
        *,
        deadline_s: float,
    ) -> NDArray[np.float32]:
        """The logits [L] of one encoded image, or of the image behind a URL if the limits allow URLs.

        Raises `Overloaded` at once if it can't be done in time, `ImageTooLarge` from the image's header,
        `DeadlineExceeded` at ``deadline_s``, and what the pipeline raises for this image.
        """
        source = data if isinstance(data, Source) else Source(name="<bytes>", kind="bytes", value=data)
        if source.kind == "url":
            try:
                fetched = await self._fetcher.fetch(source.value, deadline_s=deadline_s)
            except Overloaded as error:
                self._metrics.refused(error.reason)
                raise
            source = Source(name=source.name, kind="bytes", value=fetched)
        elif source.kind != "bytes":  # a client must not open the server's files
            raise BadRequest(f"An image must be bytes or a URL, not a {source.kind}.")
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
        """The logits [L] of one preprocessed image: float32 [1, C, H, W].

        Raises `BadRequest` for a tensor that doesn't fit the model, and what `classify` raises.
        """
        _check_tensor(served, pixel_values)
        work = self._admit(
            served, None, pixel_values, size_bytes=pixel_values.nbytes, pixels=0, deadline_s=deadline_s
        )
        return await self._finish(work)

    def close(self) -> None:
        """Stop the workers after what they are processing; waiting images fail with `Overloaded`."""
        self._is_stopping = True
        left = self._queue.close()
        if left:
            self._hand_over(left)
        self._workers.join()
        if self._loop is not None and not self._loop.is_closed():
            self._settle()

    def _count_pixels(self, served: ServedModel, source: Source) -> int:
        """Pixels according to the header; if it says nothing, the maximum."""
        size = read_size(source.value)
        if size is None:
            form = recognise(source.value[:HEAD_BYTES])
            # A format that is not opened costs nothing.
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
                raise stopping_error()
            left_s = deadline_s - time.monotonic()
            cost = self._admission.admit(served, size_bytes=size_bytes, pixels=pixels, left_s=left_s)
        except Overloaded as error:
            self._metrics.refused(error.reason)
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
                work.future.exception()  # marks it as retrieved, so that asyncio does not log it
            self._forget(work)

    def _expire(self, work: Work) -> None:
        if not work.future.done():
            work.future.set_exception(_too_late())
            self._forget(work)

    def _forget(self, work: Work) -> None:
        """Drop work that nobody awaits, now or when the worker that has it is done."""
        work.is_wanted = False
        if work in self._under_way and self._queue.discard(work):
            self._leave(work)

    def _hand_over(self, works: Sequence[Work]) -> None:
        """Called by workers. One wake-up of the loop handles everything finished until then."""
        self._finished.extend(works)
        if not self._is_waking and self._loop is not None:
            self._is_waking = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._is_waking = False  # first: work finished from now on wakes the loop again
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
                    work.future.set_exception(stopping_error())
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


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("The request's deadline passed before its image was classified.")


def _check_tensor(served: ServedModel, pixel_values: NDArray[np.float32]) -> None:
    """Raise `BadRequest` for a tensor that would make a shared run fail or spoil its results."""
    model, taken = served.classifier.model, served.classifier.engine.inputs[0].shape
    sides = taken[2:] if model.layout == "NCHW" else taken[1:3]
    wanted: list[int | None] = [None, model.spec.channels, *sides]
    shape = pixel_values.shape
    fits = len(shape) == 4 and shape[0] == 1
    if not fits or any(want not in (None, have) for want, have in zip(wanted, shape, strict=True)):
        shown = ", ".join("any" if want is None else str(want) for want in [1, *wanted[1:]])
        raise BadRequest(f"The model takes a tensor of shape [{shown}], not {list(shape)}.")
    if pixel_values.dtype != np.float32 or not np.isfinite(pixel_values).all():
        raise BadRequest("The model takes finite float32 numbers.")
