"""From an image to its scores: admitted or rejected at once, classified by the executor, awaited."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pictag.engines.cores import count_cores
from pictag.errors import DeadlineExceeded
from pictag.execution import Executor, Outcome
from pictag.images import FetchLimits, ImageLimits, Source
from pictag.images.decode import check_size
from pictag.images.header import read_size
from pictag.images.sniff import HEAD_BYTES, recognise
from pictag.server.admission import Admission
from pictag.server.fetcher import Fetcher
from pictag.server.http_errors import BadRequest, stopping_error

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    from numpy.typing import NDArray

    from pictag.execution import ModelRunner
    from pictag.server.admission import Cost
    from pictag.server.prometheus import Metrics
    from pictag.server.served_model import ServedModel
    from pictag.server.settings import ServerSettings

# Below the event loop, so that the server can still reject requests promptly under overload.
_NICENESS = 3


class Dispatcher:
    """Classifies images for many clients at a time. Used from one event loop.

    Worker threads decode images and run the models on at most ``max_batch`` images at a time. Deadlines are
    on `time.monotonic`. An image whose awaiting task is cancelled is dropped.
    """

    def __init__(self, settings: ServerSettings, *, metrics: Metrics) -> None:
        # One more than cores: 3 % more images per second with float weights, no difference with 8-bit ones.
        workers = settings.threads or count_cores() + 1
        self._image_limits = ImageLimits(max_pixels=settings.max_pixels)
        self._metrics = metrics
        self._admission = Admission(settings, workers=workers)
        limits = FetchLimits(max_bytes=settings.max_body_bytes, allow_private=settings.allow_private_urls)
        self._fetcher = Fetcher(limits if settings.allow_urls else None)
        self._executor = Executor(
            workers=workers, max_batch=settings.max_batch, niceness=_NICENESS, on_run=self._note_run
        )
        self._names: WeakKeyDictionary[ModelRunner, str] = WeakKeyDictionary()
        self._is_stopping = False

    @property
    def queued(self) -> int:
        """Admitted images that wait for a worker."""
        return self._executor.queued

    @property
    def running(self) -> int:
        """Images that workers are processing."""
        return max(0, self._admission.count - self._executor.queued)

    def check_room(self, served: ServedModel, *, size_bytes: int, deadline_s: float) -> None:
        """Raise `Overloaded` if an image of this size, whose body has not arrived yet, would be rejected."""
        self._check_running()
        self._admission.check_room(served, size_bytes=size_bytes, left_s=deadline_s - time.monotonic())

    async def classify(self, served: ServedModel, data: bytes | Source, *, deadline_s: float) -> Outcome:
        """The scores of one encoded image, or of the image behind a URL if the limits allow URLs.

        Raises `Overloaded` at once if it can't be done in time, `ImageTooLarge` from the image's header,
        `DeadlineExceeded` at ``deadline_s``, and what the image fails with.
        """
        source = data if isinstance(data, Source) else Source(name="<bytes>", kind="bytes", value=data)
        if source.kind == "url":
            self._check_running()
            fetched = await self._fetcher.fetch(source.value, deadline_s=deadline_s)
            source = Source(name=source.name, kind="bytes", value=fetched)
        elif source.kind != "bytes":  # a client must not open the server's files
            raise BadRequest(f"An image must be bytes or a URL, not a {source.kind}.")
        pixels = self._count_pixels(source)
        outcome = self._submit(
            served, source, size_bytes=len(source.value), pixels=pixels, deadline_s=deadline_s
        )
        return _raise_error(await outcome)

    async def infer(
        self, served: ServedModel, pixel_values: NDArray[np.float32], *, deadline_s: float
    ) -> Outcome:
        """The scores of one preprocessed image: finite float32 [1, C, H, W] that fits the model.

        Raises what `classify` raises.
        """
        outcome = self._submit(
            served, pixel_values, size_bytes=pixel_values.nbytes, pixels=0, deadline_s=deadline_s
        )
        return _raise_error(await outcome)

    def close(self) -> None:
        """Stop after the runs under way; waiting images fail with `Overloaded`."""
        self._is_stopping = True
        self._executor.close()

    def _count_pixels(self, source: Source) -> int:
        """Pixels according to the header; if it says nothing, the maximum."""
        size = read_size(source.value)
        if size is None:
            form = recognise(source.value[:HEAD_BYTES])
            # A format that is not opened costs nothing.
            return self._image_limits.max_pixels if form is not None and form.opened else 0
        if size[0] > 0 and size[1] > 0:
            check_size(size, name=source.name, limits=self._image_limits)
        return size[0] * size[1]

    def _check_running(self) -> None:
        if self._is_stopping:
            raise stopping_error()

    async def _submit(
        self,
        served: ServedModel,
        item: Source | NDArray[np.float32],
        *,
        size_bytes: int,
        pixels: int,
        deadline_s: float,
    ) -> Outcome:
        self._check_running()
        left_s = deadline_s - time.monotonic()
        cost = self._admission.admit(served, size_bytes=size_bytes, pixels=pixels, left_s=left_s)
        self._names[served.runner] = served.name
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()
        job = self._executor.submit(served.runner, item, deadline_s=deadline_s)
        job.add_done_callback(partial(loop.call_soon_threadsafe, partial(self._settle, served, cost, answer)))
        # The executor ends a late image too, but only when its turn comes.
        timer = loop.call_later(left_s, self._expire, answer, job)
        try:
            return await answer
        finally:
            timer.cancel()
            if answer.cancelled():  # the client left
                self._executor.cancel(job)

    def _expire(self, answer: asyncio.Future[Outcome], job: Future[Outcome]) -> None:
        _fail(answer, DeadlineExceeded("The request's deadline passed before its image was classified."))
        self._executor.cancel(job)

    def _settle(
        self, served: ServedModel, cost: Cost, answer: asyncio.Future[Outcome], job: Future[Outcome]
    ) -> None:
        self._admission.leave(cost)
        try:
            outcome = job.result()
        except CancelledError:
            if answer.cancelled():
                self._metrics.abandoned.inc()
            elif answer.done():
                self._metrics.expired.inc()
            else:
                _fail(answer, stopping_error())
            return
        except BaseException as error:  # noqa: BLE001 - raised where the answer is awaited
            _fail(answer, error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        if isinstance(outcome.error, DeadlineExceeded):
            self._metrics.expired.inc()
        else:
            self._metrics.queue_seconds.labels(served.name).observe(outcome.timing.waited_s)
        self._admission.learn(served, cost, outcome)
        if not answer.done():
            answer.set_result(outcome)

    def _note_run(self, runner: ModelRunner, count: int, seconds: float) -> None:
        self._metrics.record_run(self._names[runner], count, seconds)


def _fail(answer: asyncio.Future[Outcome], error: Exception) -> None:
    # As a result, since asyncio logs an exception that a client who has left doesn't await.
    if not answer.done():
        answer.set_result(Outcome(source="", error=error))


def _raise_error(outcome: Outcome) -> Outcome:
    error = outcome.error
    if error is None:
        return outcome
    try:
        del outcome
        raise error
    finally:
        del error  # its traceback refers to this frame; the cycle would keep the image until it is collected
