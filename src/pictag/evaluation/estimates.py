"""A measured figure with its sample size and its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile
_ROUNDS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """``value`` from ``n`` observations, with the bounds of its 95 % interval; NaN if ``n`` is 0."""

    value: float
    n: int
    low: float
    high: float


def estimate_share(count: float, n: int) -> Estimate:
    """The share ``count / n`` with Wilson's score interval (E. B. Wilson, 1927).

    >>> estimate_share(8, 10)
    Estimate(value=0.8, n=10, low=0.49016247153664183, high=0.9433178485456247)
    """
    if n == 0:
        return Estimate(value=math.nan, n=0, low=math.nan, high=math.nan)
    share, weight = float(count) / n, Z * Z / n
    centre = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    # Rounding must not leave a share of 0 or 1 outside of its interval.
    low, high = min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)
    return Estimate(value=share, n=n, low=low, high=high)


def estimate_f1(true_positives: int, actual: int, predicted: int) -> Estimate:
    """F1 with an interval.

    F1 is 2J / (1 + J), where J = tp / (tp + fp + fn) is a share, so the ends of J's interval become those of
    F1's. ``n`` is tp + fp + fn.

    >>> round(estimate_f1(8, 10, 9).value, 4) == round(16 / 19, 4)
    True
    """
    n = actual + predicted - true_positives
    jaccard = estimate_share(true_positives, n)
    value, low, high = (2 * x / (1 + x) for x in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(value=value, n=n, low=low, high=high)


def estimate_mean(values: NDArray[np.floating]) -> Estimate:
    """The mean with the normal distribution's interval, from values [N] that are never negative.

    >>> estimate_mean(np.array([1.0, 2.0, 3.0])).value
    2.0
    """
    n = len(values)
    if n == 0:
        return Estimate(value=math.nan, n=0, low=math.nan, high=math.nan)
    mean = float(np.mean(values, dtype=np.float64))
    half = Z * float(np.std(values, ddof=1, dtype=np.float64)) / math.sqrt(n) if n > 1 else math.inf
    return Estimate(value=mean, n=n, low=max(0.0, mean - half), high=mean + half)


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], float],
    n: int,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    rounds: int = _ROUNDS,
) -> Estimate:
    """A statistic of ``n`` images with a bootstrap interval, always the same for the same data.

    ``statistic`` takes the weights of the images [N]: all 1 for the value, then how often each image was
    drawn in a sample of n images with replacement. The samples' 2.5 % and 97.5 % quantiles are shifted by the
    difference between the value and the samples' mean, because some statistics, such as the calibration
    error, are larger for samples with repeated images.
    """
    if n == 0:
        return Estimate(value=math.nan, n=0, low=math.nan, high=math.nan)
    value = statistic(np.ones(n))
    generator = np.random.default_rng(0)
    samples = np.array(
        [
            statistic(np.bincount(generator.integers(n, size=n), minlength=n).astype(np.float64))
            for _ in range(rounds)
        ]
    )
    samples = samples[np.isfinite(samples)]
    if not len(samples) or not math.isfinite(value):
        return Estimate(value=value, n=n, low=math.nan, high=math.nan)
    low, high = np.quantile(samples, (0.025, 0.975)) + value - samples.mean()
    low, high = min(max(float(low), bounds[0]), value), max(min(float(high), bounds[1]), value)
    return Estimate(value=value, n=n, low=low, high=high)
