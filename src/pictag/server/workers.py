"""Worker threads, which decode images and run models."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.server.queue import Batch, Decoding
from pictag.stream import capture_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pictag.server.metrics import Metrics
    from pictag.server.queue import WorkQueue
    from pictag.server.served_model import ServedModel
    from pictag.server.work import Work

_JOIN_TIMEOUT_S = 5.0  # for a run that is still under way when the server stops
# Below the event loop, so that the server can still reject requests promptly under overload.
_NICENESS = 3


class Workers:
    """Threads that take work from a queue until it is closed.

    ``finish`` is called in the worker's thread with work that has its ``logits`` or ``error``, and with work
    that was skipped because nobody awaits it or its deadline has passed.
    """

    def __init__(
        self,
        queue: WorkQueue,
        *,
        count: int,
        finish: Callable[[Sequence[Work]], None],
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._finish = finish
        self._metrics = metrics
        self._threads = [
            threading.Thread(target=self._work, name=f"pictag-worker-{index}", daemon=True)
            for index in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the threads to end after the queue was closed, for at most five seconds."""
        until = time.monotonic() + _JOIN_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        if sys.platform == "linux":  # elsewhere a priority applies to the whole process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS + os.nice(0))
        while (task := self._queue.take()) is not None:
            try:
                if isinstance(task, Decoding):
                    self._decode(task.works)
                else:
                    self._run(task)
            except BaseException as error:  # noqa: BLE001 - raised where the work is awaited; the worker continues
                for work in task.works:
                    work.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
                self._finish(task.works)
            del task  # or its images would stay in memory while this worker waits

    def _decode(self, works: Sequence[Work]) -> None:
        decoded, ended = [], []
        for work in works:
            if not work.is_due:
                ended.append(work)
                continue
            begun = self._begin(work)
            pixels = capture_error(work.served.classifier.preprocess, work.source)
            work.decode_s = time.monotonic() - begun
            work.source = None
            if isinstance(pixels, Exception):
                work.error = pixels
                ended.append(work)
            else:
                work.pixel_values = pixels
                decoded.append(work)
        if decoded and not self._queue.put(decoded):
            ended += decoded
        if ended:
            self._finish(ended)

    def _run(self, batch: Batch) -> None:
        works = [work for work in batch.works if work.is_due]
        try:
            if works:
                self._infer(batch.served, works)
        finally:
            self._queue.finish_run(batch)
        self._finish(batch.works)

    def _infer(self, served: ServedModel, works: Sequence[Work]) -> None:
        begun = time.monotonic()
        for work in works:
            if not work.is_begun:
                self._begin(work)
        results = self._forward(served, [work.pixel_values for work in works])
        seconds = time.monotonic() - begun
        served.tuning.note_run(len(works), seconds)
        for work, result in zip(works, results, strict=True):
            work.run_s = seconds / len(works)
            work.pixel_values = None
            if isinstance(result, Exception):
                work.error = result
            else:
                work.logits = result

    def _forward(self, served: ServedModel, arrays: Sequence[Any]) -> list[NDArray[np.float32] | Exception]:
        """Logits [L] or an error for each image; if a run of several images fails, each is run alone."""
        begun = time.monotonic()
        pixels = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        logits = capture_error(served.classifier.forward, pixels)
        if not isinstance(logits, Exception):
            self._metrics.executed(served.name, len(arrays), time.monotonic() - begun)
            # Copies, since an engine may return a view of memory that it reuses.
            return [np.array(row) for row in logits]
        if len(arrays) == 1:
            return [logits]
        return [self._forward(served, [array])[0] for array in arrays]

    def _begin(self, work: Work) -> float:
        now = time.monotonic()
        work.is_begun = True
        self._metrics.waited(work.served.name, now - work.admitted_s)
        return now
