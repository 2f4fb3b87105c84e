"""How often something can be done in a second, and how long it takes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from pictag.benchmark.records import Latency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEAST_RUNS = 3


def measure_rate(run: Callable[[int], object], *, threads: int, step_s: float) -> float:
    """How often a second ``run(number)`` is done by so many threads side by side, over about ``step_s``.

    Each thread does it once before its clock starts, and three times at least after that; ``number`` counts
    up. The threads' own rates are added, so that it does not matter which is done first. What ``run``
    raises is raised here.

    >>> measure_rate(lambda number: time.sleep(0.01), threads=2, step_s=0.05) > 20
    True
    """
    numbers = count()

    def work(_thread: int) -> float:
        run(next(numbers))
        begun = time.perf_counter()
        done = 0
        while True:
            run(next(numbers))
            done += 1
            elapsed_s = time.perf_counter() - begun
            if done >= _LEAST_RUNS and elapsed_s >= step_s:
                return done / elapsed_s

    if threads == 1:
        return work(0)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


def measure_durations(run: Callable[[int], object], *, step_s: float) -> list[float]:
    """The seconds that ``run(number)`` takes, again and again for about ``step_s``, after once unmeasured."""
    run(0)
    durations: list[float] = []
    begun = time.perf_counter()
    while len(durations) < _LEAST_RUNS or time.perf_counter() - begun < step_s:
        start = time.perf_counter()
        run(len(durations) + 1)
        durations.append(time.perf_counter() - start)
    return durations


def describe_latency(durations: Sequence[float]) -> Latency:
    """Percentiles of durations in seconds.

    >>> describe_latency([0.001, 0.002, 0.003]).p50_ms
    2.0
    """
    p50, p90, p99 = (float(value) * 1000 for value in np.percentile(durations, (50, 90, 99)))
    return Latency(p50_ms=p50, p90_ms=p90, p99_ms=p99, count=len(durations))
