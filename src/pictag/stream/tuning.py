"""How many images a run of the model takes, and how many workers work beside each other: by measurement."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNS_EACH = 4  # of each batch size, after the first, which allocates its memory
_WORTH = 0.97  # a larger batch takes more memory: it has to be faster by more than the noise
_LOOK_EVERY = 16  # images, and
_LOOK_AFTER_S = 0.25  # between two looks at how busy the cores are
_BUSY = 0.5
_MAX_WORKERS_PER_CORE = 4  # each may hold a decoded image, 36 MB for one of 12 megapixels

_log = logging.getLogger("pictag.stream")


class Tuning:
    """Chooses the batch size and the number of workers from measurements of the first images. Thread-safe.

    Each batch size is tried four times, and the one with the least time per image is kept. There is one
    worker per core, plus ``extra_workers`` where workers wait for a GPU. When images come from URLs and the
    cores are less than half busy, the number of workers is doubled, up to four per core. A single batch size,
    or a given number of ``workers``, is used as it is, without measuring.

    >>> tuning = Tuning(batch_sizes=(1,), cores=2)
    >>> tuning.workers, tuning.next_batch()
    (2, 1)
    """

    def __init__(
        self, *, batch_sizes: Sequence[int], cores: int, workers: int | None = None, extra_workers: int = 0
    ) -> None:
        self._lock = threading.Lock()
        self._sizes = tuple(batch_sizes)
        self._seconds: dict[int, list[float]] = {size: [] for size in self._sizes}
        self._asked = 0
        self._chosen = self._sizes[0] if len(self._sizes) == 1 else None
        self._cores = cores
        self._are_workers_fixed = workers is not None
        self._workers = workers or cores + extra_workers
        self.begin()

    @property
    def workers(self) -> int:
        """How many workers there should be now."""
        return self._workers

    @property
    def batch_size(self) -> int | None:
        """The batch size that was chosen; ``None`` while it is being measured."""
        return self._chosen

    @property
    def window(self) -> int:
        """How many images may be under way: for every worker two batches, and one to extra_workers."""
        return self._workers * (2 * (self._chosen or max(self._sizes)) + 1)

    def begin(self) -> None:
        """A run begins: what the process did before it does not count."""
        self._fetched = 0
        self._since = time.perf_counter()
        self._since_cpu = time.process_time()

    def next_batch(self) -> int:
        """How many images the next run should take."""
        with self._lock:
            if self._chosen is not None:
                return self._chosen
            self._asked += 1
            return self._sizes[self._asked % len(self._sizes)]

    def note_run(self, count: int, seconds: float) -> None:
        """A run of ``count`` images took so long."""
        if self._chosen is not None or count not in self._seconds:
            return
        with self._lock:
            self._seconds[count].append(seconds / count)
            if all(len(runs) > _RUNS_EACH for runs in self._seconds.values()):
                self._choose()

    def note_fetch(self) -> None:
        """An image came from a URL."""
        if self._are_workers_fixed:
            return
        with self._lock:
            self._fetched += 1
            if self._fetched >= _LOOK_EVERY and time.perf_counter() - self._since >= _LOOK_AFTER_S:
                self._widen()
                self.begin()

    def _choose(self) -> None:
        costs = {size: statistics.median(runs[1:]) for size, runs in self._seconds.items()}
        best = min(costs, key=lambda size: costs[size])
        # The smallest that is about as good.
        self._chosen = next(size for size in self._sizes if costs[best] >= _WORTH * costs[size])
        shown = ", ".join(f"{size}: {1000 * cost:.2f} ms" for size, cost in costs.items())
        _log.info("batches of %d, by the time that an image takes (%s)", self._chosen, shown)

    def _widen(self) -> None:
        cpu_s = time.process_time() - self._since_cpu
        busy = cpu_s / (time.perf_counter() - self._since) / self._cores
        workers = min(2 * self._workers, _MAX_WORKERS_PER_CORE * self._cores)
        if busy < _BUSY and workers > self._workers:
            self._workers = workers
            _log.info("%d workers, because the cores are busy for %.0f %% of the time", workers, 100 * busy)
