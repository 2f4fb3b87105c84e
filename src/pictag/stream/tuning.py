"""How many pictures a run of the model takes, and how many lanes work beside each other: by measurement."""

from __future__ import annotations

import logging
import math
import statistics
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNS_EACH = 4  # of each batch size, after the first, which allocates its memory
_WORTH = 0.97  # a larger batch takes more memory: it has to be faster by more than the noise
_LOADS = 16  # between two looks at how long lanes wait for their pictures
_MOST_LANES_A_CORE = 4  # each may hold a decoded picture, 36 MB for one of 12 megapixels

_log = logging.getLogger("pictag.stream")


class Tuning:
    """What the first pictures show of the best batch size and count of lanes. Used by all lanes at once.

    A batch size is tried four times, and the one with the least seconds a picture is kept. Lanes are
    one more than ``cores``, so that a core has work while a lane waits for a file; where measured loading
    mostly waits (a slow disk, URLs), there are up to four times as many as cores. One ``batch_size`` alone,
    or a number of ``lanes``, is taken as it is: nothing depends on measurement then.

    >>> tuning = Tuning(batch_sizes=(1,), cores=2)
    >>> tuning.lanes, tuning.next_batch()
    (3, 1)
    """

    def __init__(self, *, batch_sizes: Sequence[int], cores: int, lanes: int | None = None) -> None:
        self._lock = threading.Lock()
        self._sizes = tuple(batch_sizes)
        self._seconds: dict[int, list[float]] = {size: [] for size in self._sizes}
        self._asked = 0
        self._chosen = self._sizes[0] if len(self._sizes) == 1 else None
        self._cores = cores
        self._are_lanes_fixed = lanes is not None
        self._lanes = lanes or cores + 1
        self._loads: deque[tuple[float, float]] = deque(maxlen=_LOADS)
        self._unseen = 0

    @property
    def lanes(self) -> int:
        """How many lanes there should be now."""
        return self._lanes

    @property
    def batch_size(self) -> int | None:
        """The batch size that was chosen; ``None`` while it is being measured."""
        return self._chosen

    @property
    def window(self) -> int:
        """How many pictures may be under way: in every lane a batch, and two to go on with."""
        return self._lanes * ((self._chosen or max(self._sizes)) + 2)

    def next_batch(self) -> int:
        """How many pictures the next run should take."""
        with self._lock:
            if self._chosen is not None:
                return self._chosen
            self._asked += 1
            return self._sizes[self._asked % len(self._sizes)]

    def note_run(self, count: int, seconds: float) -> None:
        """A run of ``count`` pictures took so long."""
        if self._chosen is not None or count not in self._seconds:
            return
        with self._lock:
            self._seconds[count].append(seconds / count)
            if all(len(runs) > _RUNS_EACH for runs in self._seconds.values()):
                self._choose()

    def note_load(self, seconds: float, cpu_seconds: float) -> None:
        """Loading one picture took so long, and kept a core busy for so much of it."""
        if self._are_lanes_fixed:
            return
        with self._lock:
            self._loads.append((seconds, cpu_seconds))
            self._unseen += 1
            if self._unseen >= _LOADS:
                self._unseen = 0
                self._widen()

    def _choose(self) -> None:
        costs = {size: statistics.median(runs[1:]) for size, runs in self._seconds.items()}
        best = min(costs, key=lambda size: costs[size])
        # The smallest that is about as good.
        self._chosen = next(size for size in self._sizes if costs[best] >= _WORTH * costs[size])
        shown = ", ".join(f"{size}: {1000 * cost:.2f} ms" for size, cost in costs.items())
        _log.info("batches of %d, by the time that a picture takes (%s)", self._chosen, shown)

    def _widen(self) -> None:
        cpu = sum(load[1] for load in self._loads)
        # All lanes share the cores, so a load that never waits takes up to lanes / cores of its own time.
        share = sum(load[0] for load in self._loads) / max(cpu, 1e-9)
        wanted = math.floor(self._cores * share * self._cores / (self._cores + 1))
        lanes = min(wanted, _MOST_LANES_A_CORE * self._cores)
        if lanes > self._lanes:
            self._lanes = lanes
            _log.info(
                "%d lanes, because loading a picture waits for %.0f %% of its time", lanes, 100 - 100 / share
            )
