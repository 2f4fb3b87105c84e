"""The batch size is measured, unless there is only one."""

from __future__ import annotations

import pytest

from pictag.execution import BatchSizer


def measure(sizer: BatchSizer, seconds_each: dict[int, float]) -> None:
    for _ in range(100):
        size = sizer.next()
        sizer.note(size, size * seconds_each[size])


@pytest.mark.parametrize(
    ("one", "four", "chosen"),
    [(0.003, 0.002, 4), (0.003, 0.004, 1), (0.00300, 0.00299, 1)],
    ids=["larger is faster", "smaller is faster", "about the same"],
)
def test_the_faster_batch_is_kept_and_the_smaller_of_equals(one: float, four: float, chosen: int) -> None:
    sizer = BatchSizer((1, 4))
    assert (sizer.chosen, sizer.largest) == (None, 4)
    measure(sizer, {1: one, 4: four})
    assert (sizer.chosen, sizer.largest) == (chosen, chosen)
    assert {sizer.next() for _ in range(9)} == {chosen}


def test_the_first_run_of_a_size_does_not_count_because_it_allocates() -> None:
    sizer = BatchSizer((1, 4))
    sizer.note(4, 60.0)
    measure(sizer, {1: 0.003, 4: 0.001})
    assert sizer.chosen == 4


def test_a_batch_that_was_not_full_is_not_measured() -> None:
    sizer = BatchSizer((1, 4))
    for _ in range(50):
        sizer.note(3, 0.001)
    assert sizer.chosen is None


def test_a_single_size_is_not_measured() -> None:
    sizer = BatchSizer((8,))
    measure(sizer, {8: 9.0})
    assert (sizer.next(), sizer.largest) == (8, 8)
