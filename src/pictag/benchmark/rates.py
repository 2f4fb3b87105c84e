"""Calls per second, and how long each call takes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from pictag.benchmark.records import Latency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MIN_RUNS = 3


def measure_rate(run: Callable[[int], object], *, threads: int, step_s: float) -> float:
    """How many times per second ``threads`` threads together call ``run(number)``, over about ``step_s``.

    Each thread makes one call before its clock starts and at least three after that; ``number`` counts up.
    The threads' own rates are added, so it does not matter which one finishes first. Errors of ``run``
    are raised.

    >>> measure_rate(lambda number: time.sleep(0.01), threads=2, step_s=0.05) > 20
    True
    """
    numbers = count()

    def work(_thread: int) -> float:
        run(next(numbers))
        started = time.perf_counter()
        done = 0
        while True:
            run(next(numbers))
            done += 1
            elapsed_s = time.perf_counter() - started
            if done >= _MIN_RUNS and elapsed_s >= step_s:
                return done / elapsed_s

    if threads == 1:
        return work(0)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


def measure_durations(run: Callable[[int], object], *, step_s: float) -> list[float]:
    """The durations of repeated calls of ``run(number)`` in seconds, for about ``step_s`` after a warm-up."""
    run(0)
    durations: list[float] = []
    started = time.perf_counter()
    while len(durations) < _MIN_RUNS or time.perf_counter() - started < step_s:
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
