"""Exact search by cosine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.similarity import normalize, search_blocks


@given(
    seed=st.integers(0, 1000),
    count=st.integers(0, 60),
    k=st.integers(1, 20),
    block=st.integers(1, 30),
    dtype=st.sampled_from([np.float16, np.float32]),
)
def test_blocks_give_what_sorting_all_cosines_gives(
    seed: int, count: int, k: int, block: int, dtype: type[np.floating]
) -> None:
    draw = np.random.default_rng(seed)
    rows = normalize(draw.integers(-2, 3, (count, 5))).astype(dtype)
    ids = draw.permutation(count).astype(np.int64)
    query = draw.standard_normal(5)
    blocks = [(ids[i : i + block], rows[i : i + block]) for i in range(0, count, block)]
    found, cosines = search_blocks(query, blocks, k=k)
    expected = {
        int(i): float(c) for i, c in zip(ids, rows.astype(np.float32) @ normalize(query), strict=True)
    }
    assert len(set(found.tolist())) == len(found) == min(k, count)
    assert cosines.tolist() == sorted(cosines.tolist(), reverse=True)
    assert cosines == pytest.approx([expected[i] for i in found.tolist()], abs=1e-6)
    assert cosines == pytest.approx(sorted(expected.values(), reverse=True)[:k], abs=1e-6)


def test_of_equal_cosines_the_lower_id_comes_first() -> None:
    rows = np.ones((6, 1), np.float32)
    found, _ = search_blocks([1.0], [(np.array([9, 3, 7, 1, 5, 2]), rows)], k=3)
    assert found.tolist() == [1, 2, 3]


def test_a_vector_of_zeros_stays_as_it_is() -> None:
    assert normalize([[0.0, 0.0], [0.0, 5.0]]).tolist() == [[0, 0], [0, 1]]
