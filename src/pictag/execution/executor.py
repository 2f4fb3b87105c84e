"""Runs models on many images: one compute worker per core, and threads that read files and URLs ahead.

Each worker decodes, preprocesses and runs its own images. On two cores that is a quarter faster than
decoding next to a single run on all cores: no worker waits for another, and the pixels of a batch are still
in the core's own cache when the model reads them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

import numpy as np

from pictag.errors import DeadlineExceeded, EngineError, InputError, PipelineClosed, explain_shortage
from pictag.execution.outcome import Outcome, Timing, capture_error
from pictag.execution.queue import Batch, Decoding, Task, WorkQueue
from pictag.images import Failed, Source, keep_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from pictag.execution.model_runner import ModelRunner

    OnRun = Callable[[ModelRunner, int, float], None]

_READERS_PER_WORKER = 4  # for URLs, which wait for servers; one reader is enough for files
_LOAD_PATIENCE_S = 0.5  # after close: most images are loaded in less
_RUN_PATIENCE_S = 60.0


class Executor:
    """Workers that decode and run, started as images come. Thread-safe.

    ``on_run(runner, count, seconds)`` is called in a worker after each run. ``niceness`` lowers the workers'
    priority on Linux. ``max_batch`` bounds the batch size of every model.

    ``ThreadPoolExecutor`` isn't used, because it waits for its threads at shutdown, and again when the
    process ends: a thread that reads from a silent server would delay Ctrl-C until the URL's time limit.
    These threads are waited for briefly and then abandoned, unless a model is running in them: a thread that
    returns from native code after the interpreter has ended crashes the process.
    """

    def __init__(
        self,
        *,
        workers: int,
        max_batch: int | None = None,
        niceness: int = 0,
        on_run: OnRun | None = None,
    ) -> None:
        self._max_workers = workers
        self._niceness = niceness
        self._on_run = on_run
        self._queue = WorkQueue(workers=workers, max_batch=max_batch)
        self._to_read: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._readers: list[threading.Thread] = []
        self._unread_urls = 0
        self._running: set[threading.Thread] = set()
        self._is_closed = False
        keep_blocks()

    @property
    def queued(self) -> int:
        """Tasks that wait for a worker."""
        return len(self._queue)

    def submit(
        self,
        runner: ModelRunner,
        item: Source | NDArray[np.float32],
        *,
        deadline_s: float | None = None,
    ) -> Future[Outcome]:
        """Classify a source, or pixel values [K, C, H, W].

        The future's result is an `Outcome`, even if the image fails. It raises `PipelineClosed` if
        the model was closed, and `CancelledError` after `close` and `cancel`. A task whose future is
        cancelled, or whose ``deadline_s`` (of `time.monotonic`) has passed, is neither decoded nor run; the
        latter ends with `DeadlineExceeded`.
        """
        if isinstance(item, Source):
            task = Task(runner=runner, name=item.name, source=item, deadline_s=deadline_s)
            if item.kind in ("file", "url"):
                self._enqueue_reading(task, is_url=item.kind == "url")
                return task.future
        else:
            task = Task(runner=runner, name="<pixel values>", pixel_values=item, deadline_s=deadline_s)
        self._enqueue([task])
        return task.future

    def cancel(self, future: Future[Outcome]) -> None:
        """Cancel a task and release its image, unless a worker has it.

        ``future.cancel()`` alone leaves the image in the queue until its turn comes, and can't end a task
        that was decoded and waits to be run.
        """
        task = self._queue.discard(future)
        if task is not None:
            _cancel([task])

    def stream(self, runner: ModelRunner, sources: Iterable[Source | Failed]) -> Iterator[Outcome]:
        """One `Outcome` for each source, in order, with a bounded number of them in memory.

        ``sources`` is iterated in the caller's thread, and no further ahead than needed when it yields
        slowly. If it raises, the sources before the error are finished first.
        """
        iterator = iter(sources)
        pending: deque[Future[Outcome] | Outcome] = deque()
        error: Exception | None = None
        exhausted = False
        owed = True  # whether to read another source before giving the next outcome
        while pending or not exhausted:
            if not exhausted and len(pending) < self._window(runner) and (owed or not _is_done(pending[0])):
                owed = False
                source = capture_error(next, iterator, None)
                if source is None or isinstance(source, Exception):
                    error, exhausted = source, True
                elif isinstance(source, Failed):
                    pending.append(Outcome(source=source.name, error=source.error))
                else:
                    pending.append(self.submit(runner, source))
            else:
                owed = True  # one source is read for each outcome given, so that the workers stay busy
                first = pending.popleft()
                yield first if isinstance(first, Outcome) else first.result()
        if error is not None:
            raise error

    def close(self) -> None:
        """Start nothing new; wait briefly for images that are being loaded, and for runs until they end."""
        with self._lock:
            self._is_closed = True
        left = self._queue.close()
        with contextlib.suppress(queue.Empty):
            while (task := self._to_read.get_nowait()) is not None:
                left.append(task)
        _cancel(left)
        for _ in self._readers:
            self._to_read.put(None)
        begun = time.monotonic()
        for thread in (*self._workers, *self._readers):
            while thread.is_alive():
                patience_s = _RUN_PATIENCE_S if thread in self._running else _LOAD_PATIENCE_S
                if time.monotonic() - begun > patience_s:
                    break
                thread.join(0.02)

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _window(self, runner: ModelRunner) -> int:
        return self._max_workers * (2 * runner.batch_sizer.largest + 1) + len(self._readers)

    def _enqueue_reading(self, task: Task, *, is_url: bool) -> None:
        with self._lock:
            if not self._is_closed:
                self._to_read.put(task)
                self._unread_urls += is_url
                # One more than there are URLs, so that files don't wait for servers.
                limit = min(self._unread_urls + 1, _READERS_PER_WORKER * self._max_workers)
                self._start(self._readers, self._read, name="pictag-reader", limit=limit)
                return
        _cancel([task])

    def _enqueue(self, tasks: list[Task]) -> None:
        if not self._queue.put(tasks):
            _cancel(tasks)
        elif len(self._workers) < self._max_workers and self._queue.needs_worker:
            with self._lock:
                self._start(self._workers, self._work, name="pictag-worker", limit=self._max_workers)

    def _start(
        self, threads: list[threading.Thread], target: Callable[[], None], *, name: str, limit: int
    ) -> None:
        """Start one more thread, up to the limit. The caller holds the lock.

        If the system refuses another thread, those that run do the work. Raises `EngineError` for the first.
        """
        if len(threads) < limit and not self._is_closed:
            thread = threading.Thread(target=target, name=f"{name}-{len(threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if not threads:
                    raise EngineError(explain_shortage(error) or str(error)) from error
            else:
                threads.append(thread)

    def _read(self) -> None:
        while (task := self._to_read.get()) is not None:
            is_url = task.source is not None and task.source.kind == "url"
            try:
                self._read_task(task)
            except BaseException as error:  # noqa: BLE001 - as in _work
                _abort([task], error)
            del task  # or its file would stay in memory while this thread waits
            with self._lock:
                self._unread_urls -= is_url

    def _read_task(self, task: Task) -> None:
        if not _is_due(task):
            return
        found = capture_error(task.runner.read, task.source)
        if isinstance(found, Exception):
            _fail([task], found)
        else:
            task.source = found
            self._enqueue([task])

    def _work(self) -> None:
        if self._niceness and sys.platform == "linux":  # elsewhere a priority is the whole process's
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness + os.nice(0))
        while (work := self._queue.take()) is not None:
            try:
                if isinstance(work, Decoding):
                    self._decode(work.tasks)
                else:
                    self._run(work)
            except BaseException as error:  # noqa: BLE001 - the future raises it, and this thread goes on
                _abort(work.tasks, error)
            del work  # or its images would stay in memory while this worker waits

    def _decode(self, tasks: Sequence[Task]) -> None:
        decoded = []
        for task in tasks:
            if not _is_due(task):
                continue
            begun = time.monotonic()
            found = capture_error(task.runner.load, task.source)
            task.decode_s = time.monotonic() - begun
            task.source = None
            if isinstance(found, Exception):
                _fail([task], found)
            else:
                task.pixel_values, task.observed = found
                decoded.append(task)
        if decoded and not self._queue.put(decoded):
            _cancel(decoded)

    def _run(self, batch: Batch) -> None:
        thread = threading.current_thread()
        self._running.add(thread)
        try:
            tasks = [task for task in batch.tasks if _is_due(task)]
            if self._is_closed:
                _cancel(tasks)
            elif tasks:
                self._infer(batch.runner, tasks)
        finally:
            self._running.discard(thread)
            if batch.runner.max_concurrency is not None:
                self._queue.finish_run(batch.runner)

    def _infer(self, runner: ModelRunner, tasks: Sequence[Task]) -> None:
        """Run a batch; if that fails, run each task alone, so that one image can't fail the others."""
        arrays = [task.pixel_values for task in tasks if task.pixel_values is not None]
        counts = [len(array) for array in arrays]
        begun = time.monotonic()
        outputs = capture_error(runner.infer, *arrays)
        seconds = time.monotonic() - begun
        if isinstance(outputs, PipelineClosed):
            _abort(tasks, outputs)
        elif isinstance(outputs, Exception) and len(tasks) > 1:
            for task in tasks:
                self._infer(runner, [task])
        elif isinstance(outputs, Exception):
            _fail(tasks, outputs)
        else:
            runner.batch_sizer.note(sum(counts), seconds)
            if self._on_run is not None:
                self._on_run(runner, sum(counts), seconds)
            _finish(tasks, counts, outputs, seconds)


def _is_done(result: Future[Outcome] | Outcome) -> bool:
    return isinstance(result, Outcome) or result.done()


def _is_due(task: Task) -> bool:
    """Mark a task as started; false if it was cancelled, or if its deadline has passed, which ends it."""
    if not task.is_started and not _is_wanted(task):
        return False
    if task.deadline_s is not None and time.monotonic() >= task.deadline_s:
        _fail([task], DeadlineExceeded("The image was not classified within the time allowed."))
        return False
    return True


def _is_wanted(task: Task) -> bool:
    """Mark the task as started; false if its future was cancelled before."""
    if not task.is_started:
        if not task.future.set_running_or_notify_cancel():
            return False
        task.is_started = True
        task.waited_s = time.monotonic() - task.submitted_s
    return True


def _abort(tasks: Sequence[Task], error: BaseException) -> None:
    """End the tasks that haven't ended with an exception."""
    for task in tasks:
        if not task.future.done() and _is_wanted(task):
            task.future.set_exception(error)


def _cancel(tasks: Sequence[Task]) -> None:
    for task in tasks:
        if not task.future.cancel():  # it has started
            _abort([task], CancelledError())


def _fail(tasks: Sequence[Task], error: Exception) -> None:
    if isinstance(error, InputError):
        _drop_tracebacks(error)
    for task in tasks:
        task.source = task.pixel_values = None
        timing = Timing(waited_s=task.waited_s, decode_s=task.decode_s)
        task.future.set_result(Outcome(source=task.name, error=error, timing=timing))


def _drop_tracebacks(error: BaseException | None) -> None:
    """Release the image, which the frames of the traceback would keep in memory."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def _finish(
    tasks: Sequence[Task], counts: Sequence[int], outputs: tuple[NDArray[np.float32], ...], seconds: float
) -> None:
    ends = np.cumsum(counts).tolist()
    run_s = seconds / len(tasks)
    # In reverse order: a caller that waits for the first one then finds the others finished too.
    for task, count, end in zip(reversed(tasks), reversed(counts), reversed(ends), strict=True):
        # Copies, because an engine may return a view of memory that it reuses.
        logits, *embedding = (np.array(output[end - count : end]) for output in outputs)
        task.pixel_values = None
        task.future.set_result(
            Outcome(
                source=task.name,
                logits=logits,
                embedding=embedding[0] if embedding else None,
                observed=task.observed,
                timing=Timing(waited_s=task.waited_s, decode_s=task.decode_s, run_s=run_s),
            )
        )
