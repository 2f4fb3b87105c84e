from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.server.arrivals import FREE_BYTES, Arrivals
from pictag.server.refusals import Overloaded

LIMIT = 10 * FREE_BYTES


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5 * FREE_BYTES)), max_size=60))
def test_what_is_held_stays_below_the_limit_and_all_of_it_is_given_back(
    pieces: list[tuple[int, int]],
) -> None:
    arrivals, sizes = Arrivals(LIMIT), [0] * 10
    for body, more in pieces:
        try:
            arrivals.grow(sizes[body], more)
        except Overloaded:
            assert sum(1 for size in sizes if size > FREE_BYTES) >= 1  # one alone may have any size
        else:
            sizes[body] += more
        held = [max(0, size - FREE_BYTES) for size in sizes]
        assert arrivals.held_bytes == sum(held)
        assert sum(held) <= max(LIMIT, *held)
    for size in sizes:
        arrivals.drop(size)
    assert arrivals.held_bytes == 0


def test_small_bodies_come_in_whatever_others_hold_back() -> None:
    arrivals = Arrivals(LIMIT)
    arrivals.grow(0, 6 * FREE_BYTES)
    arrivals.grow(0, 6 * FREE_BYTES)
    with pytest.raises(Overloaded):
        arrivals.grow(0, 2 * FREE_BYTES)
    for _ in range(1000):
        arrivals.grow(0, FREE_BYTES)
