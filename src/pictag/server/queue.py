"""What waits for the workers: images to be decoded, and pixels to be run. The one place they all meet."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pictag.server.served import ServedModel
    from pictag.server.work import Work

    Kind = tuple[ServedModel, tuple[int, ...]]  # what can be run together: one model, one shape


@dataclass(frozen=True, slots=True)
class Decoding:
    """Images that one worker is to decode; they are run together where they fit."""

    works: list[Work]


@dataclass(frozen=True, slots=True)
class Batch:
    """Pixels of one model and one shape, for one run."""

    served: ServedModel
    works: list[Work]


class WorkQueue:
    """Hands work to workers: what is ready to be run first, and otherwise the images that came first.

    Nothing waits for a batch to fill: several images are given out together only where no worker is idle
    who could take one of them.
    """

    def __init__(self, *, workers: int, max_batch: int) -> None:
        self._workers = workers
        self._max_batch = max_batch
        self._most_ready = 2 * max(max_batch, workers)  # decoded ahead of runs that are not begun yet
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
        """Add work: images wait to be decoded, pixels to be run. After `close` nothing is taken: false."""
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
        """Take work back; false where a worker has it already."""
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
        """The next work for one worker; waits where there is none. ``None`` after `close`."""
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
        """A run has ended: another of that model may begin."""
        if batch.served.max_concurrency is not None:
            with self._changed:
                self._runs[batch.served] -= 1
                if not self._runs[batch.served]:
                    del self._runs[batch.served]
                self._changed.notify()

    def close(self) -> list[Work]:
        """Give out nothing more; what was still waiting is given back."""
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
        most = min(served.max_batch or self._max_batch, -(-len(group) // free))
        works = [group.popitem(last=False)[0] for _ in range(most)]
        self._ready_count -= most
        # Other models and shapes have their turn before what is left of this one.
        self._ready.move_to_end(kind)
        if not group:
            del self._ready[kind]
        if served.max_concurrency is not None:
            self._runs[served] += 1
        return Batch(served, works)

    def _take_images(self) -> Decoding | None:
        if not self._waiting or self._ready_count >= self._most_ready:
            return None
        share = -(-len(self._waiting) // self._workers)
        works = [self._waiting.popitem(last=False)[0]]
        served = works[0].served
        if not self._idle:
            most = min(served.tuning.next_batch(), served.max_batch or self._max_batch, share)
            while len(works) < most and self._waiting and next(iter(self._waiting)).served is served:
                works.append(self._waiting.popitem(last=False)[0])
        return Decoding(works)
