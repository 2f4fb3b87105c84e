"""What is chosen by measurement, and what is left alone."""

from __future__ import annotations

import time

import pytest

from pictag.stream import Tuning
from pictag.stream import tuning as tuning_module


def measure(tuning: Tuning, seconds_each: dict[int, float]) -> None:
    for _ in range(100):
        size = tuning.next_batch()
        tuning.note_run(size, size * seconds_each[size])


@pytest.mark.parametrize(
    ("one", "four", "chosen"),
    [(0.003, 0.002, 4), (0.003, 0.004, 1), (0.00300, 0.00299, 1)],
    ids=["larger is faster", "smaller is faster", "about the same"],
)
def test_the_faster_batch_is_kept_and_the_smaller_of_equals(one: float, four: float, chosen: int) -> None:
    tuning = Tuning(batch_sizes=(1, 4), cores=2)
    assert tuning.batch_size is None
    measure(tuning, {1: one, 4: four})
    assert tuning.batch_size == chosen
    assert {tuning.next_batch() for _ in range(9)} == {chosen}


def test_the_first_run_of_a_size_does_not_count_because_it_allocates() -> None:
    tuning = Tuning(batch_sizes=(1, 4), cores=2)
    tuning.note_run(4, 60.0)
    measure(tuning, {1: 0.003, 4: 0.001})
    assert tuning.batch_size == 4


def test_a_batch_that_was_not_full_is_no_measurement() -> None:
    tuning = Tuning(batch_sizes=(1, 4), cores=2)
    for _ in range(50):
        tuning.note_run(3, 0.001)
    assert tuning.batch_size is None


def test_what_is_given_is_not_measured() -> None:
    tuning = Tuning(batch_sizes=(8,), cores=2, workers=5)
    measure(tuning, {8: 9.0})
    for _ in range(100):
        tuning.note_fetch()
    assert (tuning.batch_size, tuning.workers) == (8, 5)


def test_idle_cores_get_more_workers_up_to_four_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "_LOOK_AFTER_S", 0.001)
    tuning = Tuning(batch_sizes=(1,), cores=2)
    seen = [tuning.workers]
    for _ in range(200):
        time.sleep(0.0005)  # as a server does that answers slowly
        tuning.note_fetch()
        if tuning.workers != seen[-1]:
            seen.append(tuning.workers)
    assert seen == [2, 4, 8]


def test_busy_cores_get_no_more_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "_LOOK_AFTER_S", 0.001)
    monkeypatch.setattr(time, "process_time", lambda: 2 * time.perf_counter())
    tuning = Tuning(batch_sizes=(1,), cores=2)
    for _ in range(100):
        time.sleep(0.0005)
        tuning.note_fetch()
    assert tuning.workers == 2


def test_where_workers_wait_for_a_card_there_is_one_to_spare() -> None:
    assert Tuning(batch_sizes=(1,), cores=2, extra_workers=1).workers == 3
    assert Tuning(batch_sizes=(1,), cores=2, workers=2, extra_workers=1).workers == 2


def test_every_lane_has_two_batches_to_go_on_with() -> None:
    assert Tuning(batch_sizes=(4,), cores=2).window == 18
    assert Tuning(batch_sizes=(1, 4), cores=1).window == 9
