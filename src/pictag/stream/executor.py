"""The executor: one worker per core, each of which decodes images and runs the model on them.

With one core per worker and single-threaded runs, no worker waits for another. On two cores that is a quarter
faster than decoding beside one run on all cores, and the pixels of a batch are still in the core's own cache
when the model reads them. Extra workers read files ahead and then wait for a compute slot: if all of them
computed at once, they would evict each other's cache (5 % of the time).
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import EngineError, PipelineClosed
from pictag.images import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from pictag.images import Source
    from pictag.stream.tuning import Tuning

    Read = Callable[[Source], Source]
    Load = Callable[[Source], NDArray[np.float32]]
    Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_PATIENCE_S = 0.5  # most images are loaded in less
_RUN_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one image: float32 logits [L], or the error that kept them away."""

    source: str
    logits: NDArray[np.float32] | None = None
    error: Exception | None = None


def capture_error(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or the exception that it raised, so that one failure does not end the run."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - the one place where an image's failure becomes a record
        return error


def run_one(source: Source | Failed, *, load: Load, infer: Infer) -> Outcome:
    """One image, here and now. Raises `PipelineClosed`."""
    if isinstance(source, Failed):
        return Outcome(source=source.name, error=source.error)
    pixels = capture_error(load, source)
    if isinstance(pixels, Exception):
        return Outcome(source=source.name, error=pixels)
    (result,) = _infer_rows([pixels], infer, None)
    if isinstance(result, PipelineClosed):
        raise result
    return _make_outcome(source.name, result)


@dataclass(slots=True)
class _Worker:
    thread: threading.Thread | None = None
    is_running: bool = False
    batch: NDArray[np.float32] | None = None  # one array for all batches of this worker


class Executor:
    """Threads that load and run, started as images come, at most as many as ``tuning`` says.

    Whoever loads or runs is inside ``compute_slots``; whoever reads is not.

    ``ThreadPoolExecutor`` waits for its threads when it is shut down, and once more when the process ends:
    one that reads from a server that has gone silent would hold up Ctrl-C for as long as a URL may take.
    These are waited for a moment and then left to themselves, unless the model is running in them: a thread
    that comes back from native code into an interpreter that has ended takes the process down.
    """

    def __init__(
        self,
        *,
        read: Read,
        load: Load,
        infer: Infer,
        compute_slots: AbstractContextManager[Any],
        tuning: Tuning,
    ) -> None:
        self._read = read
        self._compute_slots = compute_slots
        self._load = load
        self._infer = infer
        self._tuning = tuning
        self._workers: list[_Worker] = []
        self._waiting: queue.SimpleQueue[tuple[Future[Outcome], Source] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._idle = 0
        tuning.begin()

    def submit(self, source: Source) -> Future[Outcome]:
        """Have an image classified; of all errors, the future raises `PipelineClosed` alone."""
        future: Future[Outcome] = Future()
        self._waiting.put((future, source))
        if len(self._workers) < self._tuning.workers and self._waiting.qsize() > self._idle:
            worker = _Worker()
            name = f"pictag-worker-{len(self._workers)}"
            worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
            self._workers.append(worker)
            worker.thread.start()
        return future

    def close(self) -> None:
        """Begin nothing new; wait a moment for images that are loading, and for runs until they end."""
        with self._lock:
            self._is_closed = True
        try:
            while True:
                self._waiting.get_nowait()
        except queue.Empty:
            pass
        for _ in self._workers:
            self._waiting.put(None)
        begun = time.monotonic()
        for worker in self._workers:
            assert worker.thread is not None
            while worker.thread.is_alive():
                if time.monotonic() - begun > (_RUN_PATIENCE_S if worker.is_running else _PATIENCE_S):
                    break
                worker.thread.join(0.02)

    def _work(self, worker: _Worker) -> None:
        while tasks := self._take():
            try:
                self._classify(tasks, worker)
            except BaseException as error:  # noqa: BLE001 - whoever waits for the futures gets it
                for future, _ in tasks:
                    if not future.done():
                        future.set_exception(error)
            # Or a batch's images would stay in memory for as long as this worker waits for the next.
            del tasks

    def _take(self) -> list[tuple[Future[Outcome], Source]]:
        """The next images, without waiting for a full batch, and leaving the other workers their share."""
        self._count_idle(1)
        first = self._waiting.get()
        self._count_idle(-1)
        if first is None:
            return []
        tasks = [first]
        share = -(-(self._waiting.qsize() + 1) // max(1, len(self._workers)))
        most = min(self._tuning.next_batch(), share)
        while len(tasks) < most:
            try:
                task = self._waiting.get_nowait()
            except queue.Empty:
                break
            if task is None:  # another worker's end
                self._waiting.put(None)
                break
            tasks.append(task)
        return tasks

    def _count_idle(self, change: int) -> None:
        with self._lock:
            self._idle += change

    def _classify(self, tasks: Sequence[tuple[Future[Outcome], Source]], worker: _Worker) -> None:
        read = []
        for future, source in tasks:
            found = capture_error(self._read, source)
            if source.kind == "url":  # files hardly wait, and each thread that decodes keeps memory
                self._tuning.note_fetch()
            if isinstance(found, Exception):
                future.set_result(Outcome(source=source.name, error=found))
            else:
                read.append((future, found))
        with self._compute_slots:
            self._load_and_infer(read, worker)

    def _load_and_infer(self, tasks: list[tuple[Future[Outcome], Source]], worker: _Worker) -> None:
        groups: dict[tuple[int, ...], list[tuple[Future[Outcome], str, NDArray[np.float32]]]] = {}
        tasks.reverse()
        while tasks:
            future, source = tasks.pop()  # its bytes are not kept while the others are loaded
            pixels = capture_error(self._load, source)
            if isinstance(pixels, Exception):
                future.set_result(Outcome(source=source.name, error=pixels))
            else:
                groups.setdefault(pixels.shape, []).append((future, source.name, pixels))
            del source
        while groups:
            _, group = groups.popitem()
            with self._lock:
                if self._is_closed:
                    return
                worker.is_running = True
            try:
                results = self._infer_measured([pixels for _, _, pixels in group], worker)
            finally:
                worker.is_running = False
            # The first one last: whoever waits for it is woken when the others are there too.
            for (future, name, _), result in zip(reversed(group), reversed(results), strict=True):
                if isinstance(result, PipelineClosed):  # no image's fault, and true of all that follow
                    future.set_exception(result)
                else:
                    future.set_result(_make_outcome(name, result))

    def _infer_measured(self, rows: list[NDArray[np.float32]], worker: _Worker) -> list[Any]:
        if len(rows) > 1 and (
            worker.batch is None or len(worker.batch) < len(rows) or worker.batch.shape[1:] != rows[0].shape
        ):
            worker.batch = np.empty((len(rows), *rows[0].shape), rows[0].dtype)
        begun = time.perf_counter()
        results = _infer_rows(rows, self._infer, worker.batch)
        self._tuning.note_run(len(rows), time.perf_counter() - begun)
        return results


def _infer_rows(
    rows: Sequence[NDArray[np.float32]], infer: Infer, batch: NDArray[np.float32] | None
) -> list[Any]:
    """Logits [L] or an error for each image of one shape; ``batch`` has room for several."""
    if len(rows) == 1:
        pixels = rows[0][None]
    else:
        assert batch is not None
        pixels = np.stack(rows, out=batch[: len(rows)])
    logits = capture_error(infer, pixels)
    if isinstance(logits, EngineError) and len(rows) > 1:
        # One of them broke the run: each alone shows which, and saves the others.
        return [_infer_rows([row], infer, None)[0] for row in rows]
    if isinstance(logits, Exception):
        return [logits] * len(rows)
    # Copies: an engine may give a view of what it was given, and that array is filled anew.
    return [np.array(row) for row in logits]


def _make_outcome(name: str, result: Any) -> Outcome:
    if isinstance(result, Exception):
        return Outcome(source=name, error=result)
    return Outcome(source=name, logits=result)
