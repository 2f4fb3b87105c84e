"""Calibration: one temperature for all logits, so that a best score of 0.8 is correct 8 times in 10.

After Guo and others, 2017: the temperature that divides the logits minimises the cross entropy on
held-out images. It never changes the best class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Images whose best score is between `low` and `high`: their number, mean score and accuracy."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Scores that sum to one, along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    scores: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return scores


def cross_entropy(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The mean of −log(score of the correct class)."""
    return float(-np.log(softmax(logits)[np.arange(len(labels)), labels] + 1e-12).mean())


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature with the lowest cross entropy, by golden-section search over its logarithm."""
    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(0.2), np.log(5.0)

    def error(place: float) -> float:
        return cross_entropy(logits / np.exp(place), labels)

    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if error(left) < error(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def reliability(scores: Floats, labels: NDArray[np.int64], bins: int = BINS) -> list[Bin]:
    """The reliability diagram: bins of equal width over the best score; empty bins have zeros."""
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    result = []
    for index in range(bins):
        inside = place == index
        some = bool(inside.any())
        result.append(
            Bin(
                low=index / bins,
                high=(index + 1) / bins,
                count=int(inside.sum()),
                confidence=float(confidence[inside].mean()) if some else 0.0,
                accuracy=float(right[inside].mean()) if some else 0.0,
            )
        )
    return result


def expected_calibration_error(bins: list[Bin]) -> float:
    """The mean distance between confidence and accuracy, weighted by the images of each bin."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / total


def cross_fitted_error(logits: NDArray[np.floating], labels: NDArray[np.int64], seed: int = 0) -> float:
    """The calibration error if each half is evaluated with the temperature of the other half."""
    order = np.random.default_rng(seed).permutation(len(labels))
    halves = order[::2], order[1::2]
    scores = np.empty(logits.shape, dtype=np.float64)
    for fitted, judged in (halves, halves[::-1]):
        scores[judged] = softmax(logits[judged] / fit_temperature(logits[fitted], labels[fitted]))
    return expected_calibration_error(reliability(scores, labels))
