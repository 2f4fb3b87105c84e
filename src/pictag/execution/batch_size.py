"""How many images one run of the model takes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNS_PER_SIZE = 4  # measured after the first run, which allocates its memory
_MIN_GAIN = 0.97  # a larger batch takes more memory, so it has to be faster by more than the noise

_log = logging.getLogger("pictag.execution")


class BatchSizer:
    """Tries each size on the first images and keeps the fastest. Thread-safe.

    ``chosen`` is ``None`` until then; ``largest`` is the largest size that may still be used. A single size
    isn't measured.

    >>> BatchSizer((4,)).next()
    4
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._lock = threading.Lock()
        self._sizes = tuple(sizes)
        self._seconds: dict[int, list[float]] = {size: [] for size in self._sizes}
        self._count = 0
        self.chosen = self._sizes[0] if len(self._sizes) == 1 else None
        self.largest = max(self._sizes)

    def next(self) -> int:
        """The size that the next run should have."""
        if self.chosen is not None:
            return self.chosen
        with self._lock:
            self._count += 1
            return self._sizes[self._count % len(self._sizes)]

    def note(self, size: int, seconds: float) -> None:
        """Record how long a run of this size took."""
        if self.chosen is not None or size not in self._seconds:
            return
        with self._lock:
            self._seconds[size].append(seconds / size)
            if all(len(runs) > _RUNS_PER_SIZE for runs in self._seconds.values()):
                self._choose()

    def _choose(self) -> None:
        from statistics import median  # takes 10 ms to import, and one image needs no batches

        costs = {size: median(runs[1:]) for size, runs in self._seconds.items()}
        best = min(costs.values())
        self.chosen = self.largest = next(size for size in self._sizes if best >= _MIN_GAIN * costs[size])
        shown = ", ".join(f"{size}: {1000 * cost:.2f} ms" for size, cost in costs.items())
        _log.info("batch size %d, from the time per image (%s)", self.chosen, shown)
