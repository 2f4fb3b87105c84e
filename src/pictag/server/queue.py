"""The queue of the workers: images to decode, and preprocessed images to run."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pictag.server.served_model import ServedModel
    from pictag.server.work import Work

    Kind = tuple[ServedModel, tuple[int, ...]]  # what can be run together


@dataclass(frozen=True, slots=True)
class Decoding:
    """Images for one worker to decode."""

    works: list[Work]


@dataclass(frozen=True, slots=True)
class Batch:
    """Preprocessed images of one model and shape, for one run."""

    served: ServedModel
    works: list[Work]


class WorkQueue:
    """Hands out work: what is ready to run first, then images to decode in the order of arrival.

    Nothing waits for a batch to fill: a worker gets several images at once only if no idle worker could
    take one of them.
    """

    def __init__(self, *, workers: int, max_batch: int) -> None:
        self._workers = workers
        self._max_batch = max_batch
        self._max_ready = 2 * max(max_batch, workers)  # images decoded ahead of the runs
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Work, None] = OrderedDict()
        self._ready: OrderedDict[Kind, OrderedDict[Work, None]] = OrderedDict()
        self._ready_count = 0
        self._runs: Counter[ServedModel] = Counter()
        self._idle = 0
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiting) + self._ready_count

    def put(self, works: Iterable[Work]) -> bool:
        """Add images to decode or to run; false after `close`."""
        with self._changed:
            if self._is_closed:
                return False
            for work in works:
                if work.pixel_values is None:
                    self._waiting[work] = None
                else:
                    kind = (work.served, work.pixel_values.shape)
                    self._ready.setdefault(kind, OrderedDict())[work] = None
                    self._ready_count += 1
                self._changed.notify()
            return True

    def discard(self, work: Work) -> bool:
        """Remove work; false if a worker has it already."""
        with self._changed:
            if work in self._waiting:
                del self._waiting[work]
                return True
            kind = None if work.pixel_values is None else (work.served, work.pixel_values.shape)
            group = self._ready.get(kind) if kind is not None else None
            if group is None or kind is None or work not in group:
                return False
            del group[work]
            self._ready_count -= 1
            if not group:
                del self._ready[kind]
            return True

    def take(self) -> Decoding | Batch | None:
        """Wait for the next work for one worker; ``None`` after `close`."""
        with self._changed:
            while not self._is_closed:
                task = self._take_batch() or self._take_images()
                if task is not None:
                    return task
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return None

    def finish_run(self, batch: Batch) -> None:
        """Note the end of a run, so that another run of that model may start."""
        if batch.served.max_concurrency is not None:
            with self._changed:
                self._runs[batch.served] -= 1
                if not self._runs[batch.served]:
                    del self._runs[batch.served]
                self._changed.notify()

    def close(self) -> list[Work]:
        """Stop handing out work; returns what was still waiting."""
        with self._changed:
            self._is_closed = True
            left = [*self._waiting, *(work for group in self._ready.values() for work in group)]
            self._waiting.clear()
            self._ready.clear()
            self._ready_count = 0
            self._changed.notify_all()
        return left

    def _take_batch(self) -> Batch | None:
        for kind in self._ready:
            served, _ = kind
            free = self._idle + 1
            if served.max_concurrency is not None:
                free = min(free, served.max_concurrency - self._runs[served])
            if free > 0:
                break
        else:
            return None
        group = self._ready[kind]
        count = min(served.max_batch or self._max_batch, -(-len(group) // free))
        works = [group.popitem(last=False)[0] for _ in range(count)]
        self._ready_count -= count
        # Other models and shapes come before the rest of this one.
        self._ready.move_to_end(kind)
        if not group:
            del self._ready[kind]
        if served.max_concurrency is not None:
            self._runs[served] += 1
        return Batch(served, works)

    def _take_images(self) -> Decoding | None:
        if not self._waiting or self._ready_count >= self._max_ready:
            return None
        share = -(-len(self._waiting) // self._workers)
        works = [self._waiting.popitem(last=False)[0]]
        served = works[0].served
        if not self._idle:
            count = min(served.tuning.next_batch(), served.max_batch or self._max_batch, share)
            while len(works) < count and self._waiting and next(iter(self._waiting)).served is served:
                works.append(self._waiting.popitem(last=False)[0])
        return Decoding(works)
