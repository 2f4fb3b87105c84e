"""Lanes: threads of which each loads pictures and runs the model on them.

With a core for each lane, and runs of one thread each, nobody waits for anybody: measured on two cores that
is a quarter faster than threads that load beside one run on all cores, and a run's few pictures are still
in the core's own cache when the model reads them. A lane more than there are cores reads its files ahead and
then waits for a core: if all worked at once, they would take each other's cache (a twentieth of the time).
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

_PATIENCE_S = 0.5  # most pictures are loaded in less
_RUN_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one picture: float32 logits [L], or the error that kept them away."""

    source: str
    logits: NDArray[np.float32] | None = None
    error: Exception | None = None


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or the exception that it raised, so that one failure does not end the run."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - the one place where a picture's failure becomes a record
        return error


def run_one(source: Source | Failed, *, load: Load, infer: Infer) -> Outcome:
    """One picture, here and now. Raises `PipelineClosed`."""
    if isinstance(source, Failed):
        return Outcome(source=source.name, error=source.error)
    pixels = attempt(load, source)
    if isinstance(pixels, Exception):
        return Outcome(source=source.name, error=pixels)
    (result,) = _infer_rows([pixels], infer, None)
    if isinstance(result, PipelineClosed):
        raise result
    return _make_outcome(source.name, result)


@dataclass(slots=True)
class _Lane:
    thread: threading.Thread | None = None
    is_running: bool = False
    batch: NDArray[np.float32] | None = None  # one array for all batches of this lane


class Lanes:
    """Threads that load and run, started as pictures come, at most as many as ``tuning`` says.

    Whoever loads or runs is inside ``core``; whoever reads is not.

    ``ThreadPoolExecutor`` waits for its threads when it is shut down, and once more when the process ends:
    one that reads from a server that has gone silent would hold up Ctrl-C for as long as a URL may take.
    These are waited for a moment and then left to themselves, unless the model is running in them: a thread
    that comes back from native code into an interpreter that has ended takes the process down.
    """

    def __init__(
        self, *, read: Read, load: Load, infer: Infer, core: AbstractContextManager[Any], tuning: Tuning
    ) -> None:
        self._read = read
        self._core = core
        self._load = load
        self._infer = infer
        self._tuning = tuning
        self._lanes: list[_Lane] = []
        self._waiting: queue.SimpleQueue[tuple[Future[Outcome], Source] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._idle = 0
        tuning.begin()

    def submit(self, source: Source) -> Future[Outcome]:
        """Have a picture classified; of all errors, the future raises `PipelineClosed` alone."""
        future: Future[Outcome] = Future()
        self._waiting.put((future, source))
        if len(self._lanes) < self._tuning.lanes and self._waiting.qsize() > self._idle:
            lane = _Lane()
            name = f"pictag-lane-{len(self._lanes)}"
            lane.thread = threading.Thread(target=self._work, args=(lane,), name=name, daemon=True)
            self._lanes.append(lane)
            lane.thread.start()
        return future

    def close(self) -> None:
        """Begin nothing new; wait a moment for pictures that are loading, and for runs until they end."""
        with self._lock:
            self._is_closed = True
        try:
            while True:
                self._waiting.get_nowait()
        except queue.Empty:
            pass
        for _ in self._lanes:
            self._waiting.put(None)
        begun = time.monotonic()
        for lane in self._lanes:
            assert lane.thread is not None
            while lane.thread.is_alive():
                if time.monotonic() - begun > (_RUN_PATIENCE_S if lane.is_running else _PATIENCE_S):
                    break
                lane.thread.join(0.02)

    def _work(self, lane: _Lane) -> None:
        while tasks := self._take():
            try:
                self._classify(tasks, lane)
            except BaseException as error:  # noqa: BLE001 - whoever waits for the futures gets it
                for future, _ in tasks:
                    if not future.done():
                        future.set_exception(error)
            # Or a batch's pictures would stay in memory for as long as this lane waits for the next.
            del tasks

    def _take(self) -> list[tuple[Future[Outcome], Source]]:
        """The next pictures, without waiting for a full batch, and leaving the other lanes their share."""
        self._count_idle(1)
        first = self._waiting.get()
        self._count_idle(-1)
        if first is None:
            return []
        tasks = [first]
        share = -(-(self._waiting.qsize() + 1) // max(1, len(self._lanes)))
        most = min(self._tuning.next_batch(), share)
        while len(tasks) < most:
            try:
                task = self._waiting.get_nowait()
            except queue.Empty:
                break
            if task is None:  # another lane's end
                self._waiting.put(None)
                break
            tasks.append(task)
        return tasks

    def _count_idle(self, change: int) -> None:
        with self._lock:
            self._idle += change

    def _classify(self, tasks: Sequence[tuple[Future[Outcome], Source]], lane: _Lane) -> None:
        read = []
        for future, source in tasks:
            found = attempt(self._read, source)
            if source.kind == "url":  # files hardly wait, and each thread that decodes keeps memory
                self._tuning.note_fetch()
            if isinstance(found, Exception):
                future.set_result(Outcome(source=source.name, error=found))
            else:
                read.append((future, found))
        with self._core:
            self._load_and_infer(read, lane)

    def _load_and_infer(self, tasks: list[tuple[Future[Outcome], Source]], lane: _Lane) -> None:
        groups: dict[tuple[int, ...], list[tuple[Future[Outcome], str, NDArray[np.float32]]]] = {}
        tasks.reverse()
        while tasks:
            future, source = tasks.pop()  # its bytes are not kept while the others are loaded
            pixels = attempt(self._load, source)
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
                lane.is_running = True
            try:
                results = self._infer_measured([pixels for _, _, pixels in group], lane)
            finally:
                lane.is_running = False
            # The first one last: whoever waits for it is woken when the others are there too.
            for (future, name, _), result in zip(reversed(group), reversed(results), strict=True):
                if isinstance(result, PipelineClosed):  # no picture's fault, and true of all that follow
                    future.set_exception(result)
                else:
                    future.set_result(_make_outcome(name, result))

    def _infer_measured(self, rows: list[NDArray[np.float32]], lane: _Lane) -> list[Any]:
        if len(rows) > 1 and (
            lane.batch is None or len(lane.batch) < len(rows) or lane.batch.shape[1:] != rows[0].shape
        ):
            lane.batch = np.empty((len(rows), *rows[0].shape), rows[0].dtype)
        begun = time.perf_counter()
        results = _infer_rows(rows, self._infer, lane.batch)
        self._tuning.note_run(len(rows), time.perf_counter() - begun)
        return results


def _infer_rows(
    rows: Sequence[NDArray[np.float32]], infer: Infer, batch: NDArray[np.float32] | None
) -> list[Any]:
    """Logits [L] or an error for each picture of one shape; ``batch`` has room for several."""
    if len(rows) == 1:
        pixels = rows[0][None]
    else:
        assert batch is not None
        pixels = np.stack(rows, out=batch[: len(rows)])
    logits = attempt(infer, pixels)
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
