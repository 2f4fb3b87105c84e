from __future__ import annotations

import threading
import time

import pytest

from pictag.benchmark.rates import describe_latency, measure_durations, measure_rate


def test_all_threads_run_and_every_number_is_used_once() -> None:
    numbers, threads = [], set()

    def note(number: int) -> None:
        numbers.append(number)
        threads.add(threading.get_ident())
        time.sleep(0.001)

    measure_rate(note, threads=3, step_s=0.01)
    assert len(threads) == 3
    assert len(set(numbers)) == len(numbers)


def test_slow_calls_are_measured_at_least_three_times() -> None:
    assert len(measure_durations(lambda _: time.sleep(0.01), step_s=1e-6)) == 3


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_call_ends_the_measurement(threads: int) -> None:
    def fail(number: int) -> None:
        if number == 5:
            raise LookupError("five")

    with pytest.raises(LookupError, match="five"):
        measure_rate(fail, threads=threads, step_s=0.1)


def test_percentiles_are_in_milliseconds() -> None:
    latency = describe_latency([n / 1000 for n in range(1, 102)])
    assert latency.count == 101
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms) == pytest.approx((51, 91, 100))
