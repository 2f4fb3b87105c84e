"""The work that waits for workers: sources to decode, and pixel values to run."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pictag.execution.model_runner import ModelRunner
    from pictag.execution.outcome import Outcome
    from pictag.images import Source

    Kind = tuple[ModelRunner, tuple[int, ...]]  # what can run together: one model, one shape of image


@dataclass(slots=True, kw_only=True, eq=False)
class Task:
    """One submitted source or array of pixel values [K, C, H, W], and what is known about it so far."""

    runner: ModelRunner
    name: str
    source: Source | None = None
    pixel_values: NDArray[np.float32] | None = None
    deadline_s: float | None = None
    observed: Any = None
    submitted_s: float = field(default_factory=time.monotonic)
    waited_s: float = 0.0
    decode_s: float = 0.0
    future: Future[Outcome] = field(default_factory=Future)
    is_started: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Tasks that one worker is to decode."""

    tasks: list[Task]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tasks of one model and one shape, for one run."""

    runner: ModelRunner
    tasks: list[Task]


class WorkQueue:
    """Gives work to workers: pixel values that are ready first, then the sources that came first.

    No worker waits for a batch to fill. Several images are handed out together only when no idle worker could
    take one of them.
    """

    def __init__(self, *, workers: int, max_batch: int | None = None) -> None:
        self._workers = workers
        self._max_batch = max_batch or sys.maxsize
        self._changed = threading.Condition()
        self._waiting: deque[Task] = deque()
        self._ready: OrderedDict[Kind, deque[Task]] = OrderedDict()
        self._ready_count = 0
        self._runs: Counter[ModelRunner] = Counter()
        self._idle = 0
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiting) + self._ready_count

    @property
    def needs_worker(self) -> bool:
        """Whether more tasks wait than idle workers are about to take."""
        return len(self) > self._idle

    def put(self, tasks: list[Task]) -> bool:
        """Add tasks: sources to be decoded, pixel values to be run. Returns false after `close`."""
        with self._changed:
            if self._is_closed:
                return False
            for task in tasks:
                if task.pixel_values is None:
                    self._waiting.append(task)
                else:
                    kind = (task.runner, task.pixel_values.shape[1:])
                    self._ready.setdefault(kind, deque()).append(task)
                    self._ready_count += 1
            self._changed.notify(len(tasks))
            return True

    def take(self) -> Decoding | Batch | None:
        """The next work for one worker, as soon as there is any; ``None`` after `close`."""
        with self._changed:
            while not self._is_closed:
                work: Decoding | Batch | None = self._take_batch() if self._ready else None
                if work is None and self._waiting:
                    work = self._take_sources()
                if work is not None:
                    return work
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return None

    def finish_run(self, runner: ModelRunner) -> None:
        """A run of a model with ``max_concurrency`` has ended, so another may start."""
        with self._changed:
            self._runs[runner] -= 1
            if not self._runs[runner]:
                del self._runs[runner]
            self._changed.notify()

    def discard(self, future: Future[Outcome]) -> Task | None:
        """Remove a waiting task and return it; ``None`` if a worker has it."""
        with self._changed:
            for kind, group in ((None, self._waiting), *self._ready.items()):
                task = next((task for task in group if task.future is future), None)
                if task is not None:
                    group.remove(task)
                    if kind is not None:
                        self._ready_count -= 1
                        if not group:
                            del self._ready[kind]
                    return task
            return None

    def close(self) -> list[Task]:
        """Hand out nothing more; returns the tasks that were still waiting."""
        with self._changed:
            self._is_closed = True
            left = [*self._waiting, *(task for group in self._ready.values() for task in group)]
            self._waiting.clear()
            self._ready.clear()
            self._ready_count = 0
            self._changed.notify_all()
        return left

    def _take_batch(self) -> Batch | None:
        for kind in self._ready:
            runner, _ = kind
            free = self._idle + 1
            if runner.max_concurrency is not None:
                free = min(free, runner.max_concurrency - self._runs[runner])
            if free > 0:
                break
        else:
            return None
        group = self._ready[kind]
        # An idle worker gets its share, but a batch that was decoded together isn't split for it.
        share = -(-len(group) // free)
        tasks = [group.popleft()]
        if share > 1:
            room = min(runner.batch_sizer.largest, self._max_batch) - _count_images(tasks[0])
            while group and len(tasks) < share and (room := room - _count_images(group[0])) >= 0:
                tasks.append(group.popleft())
        self._ready_count -= len(tasks)
        self._ready.move_to_end(kind)  # other models and shapes come before the rest of this one
        if not group:
            del self._ready[kind]
        if runner.max_concurrency is not None:
            self._runs[runner] += 1
        return Batch(runner=runner, tasks=tasks)

    def _take_sources(self) -> Decoding | None:
        first = self._waiting[0]
        limit = min(first.runner.batch_sizer.largest, self._max_batch)
        if self._ready_count >= 2 * max(limit, self._workers):  # enough is decoded ahead of the runs
            return None
        share = -(-len(self._waiting) // self._workers)
        count = 1 if self._idle or share == 1 else min(first.runner.batch_sizer.next(), limit, share)
        tasks = [self._waiting.popleft()]
        while len(tasks) < count and self._waiting and self._waiting[0].runner is first.runner:
            tasks.append(self._waiting.popleft())
        return Decoding(tasks=tasks)


def _count_images(task: Task) -> int:
    return 0 if task.pixel_values is None else len(task.pixel_values)
