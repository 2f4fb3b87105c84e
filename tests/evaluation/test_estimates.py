from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pictag.evaluation.calibration_error import bin_scores
from pictag.evaluation.estimates import bootstrap, estimate_f1, estimate_mean, estimate_share


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_interval_of_a_share_is_wilsons(n: int, share: float) -> None:
    count = round(n * share)
    expected = binomtest(count, n).proportion_ci(method="wilson")
    found = estimate_share(count, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_no_observations_give_no_figure() -> None:
    for estimate in (estimate_share(0, 0), estimate_f1(0, 0, 0), estimate_mean(np.empty(0))):
        assert estimate.n == 0
        assert math.isnan(estimate.value)
    assert math.isnan(bootstrap(lambda weights: 1.0, 0).value)


def test_the_interval_of_f1_contains_it() -> None:
    found = estimate_f1(8, 10, 9)
    assert found.value == pytest.approx(16 / 19)
    assert found.low < found.value < found.high


def test_a_bootstrap_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).random(400)
    by_bootstrap = bootstrap(lambda weights: float(weights @ values / weights.sum()), len(values))
    normal = estimate_mean(values)
    assert by_bootstrap.value == pytest.approx(normal.value)
    assert (by_bootstrap.low, by_bootstrap.high) == pytest.approx((normal.low, normal.high), abs=0.01)


def test_bootstrap_intervals_are_the_same_in_each_run_and_contain_the_figure() -> None:
    generator = np.random.default_rng(2)
    scores = generator.random(200)
    right = generator.random(200) < scores

    def measure(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return bin_scores(scores, right, weights=weights).expected_error

    found = bootstrap(measure, 200)
    assert found == bootstrap(measure, 200)
    assert 0 <= found.low <= found.value <= found.high


def test_the_interval_of_a_mean_is_never_below_zero() -> None:
    found = estimate_mean(np.array([0.0] * 60 + [2.0]))
    assert found.low == 0
    assert found.high > found.value > 0
