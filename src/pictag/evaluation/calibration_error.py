"""How well scores are calibrated: calibration error, Brier score, log loss, and the bins of a reliability
diagram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pictag.evaluation.metrics import Bools, Floats, Ints

BINS = 15
_SMALLEST = float(np.finfo(np.float64).eps)  # so that a score of 0 for the truth has a finite loss


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBins:
    """Equal bins of scores from 0 to 1 [B]: images, mean score, and share that is right; NaN if empty."""

    counts: Floats
    mean_score: Floats
    share_right: Floats

    @property
    def expected_error(self) -> float:
        """The expected calibration error: the mean of |mean score − share right|, weighted by images.

        After C. Guo et al., "On calibration of modern neural networks", 2017. NaN without images.
        """
        filled = self.counts > 0
        if not filled.any():
            return float("nan")
        gaps = np.abs(self.mean_score - self.share_right)[filled]
        return float(np.average(gaps, weights=self.counts[filled]))


def bin_scores(
    scores: NDArray[np.floating], right: Bools, *, bins: int = BINS, weights: Floats | None = None
) -> ReliabilityBins:
    """Bins of scores [N] and whether each was right [N]; a bin includes its upper edge.

    >>> bins = bin_scores(np.array([0.9, 0.6, 0.3]), np.array([True, True, False]), bins=2)
    >>> bins.counts.tolist(), round(bins.expected_error, 6)
    ([1.0, 2.0], 0.266667)
    """
    values = scores.astype(np.float64)
    weights = np.ones(len(values)) if weights is None else weights
    places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], values)
    counts, sums, rights = (
        np.bincount(places, column, minlength=bins).astype(np.float64)
        for column in (weights, weights * values, weights * right)
    )
    empty = np.full(bins, np.nan)
    return ReliabilityBins(
        counts=counts,
        mean_score=np.divide(sums, counts, out=empty.copy(), where=counts > 0),
        share_right=np.divide(rights, counts, out=empty, where=counts > 0),
    )


def measure_brier(scores: NDArray[np.floating], truth: Ints) -> Floats:
    """The Brier score of each image [N]: the squared differences from 1 for the truth and 0 for the others.

    From 0 to 2. ``scores`` is [N, L], ``truth`` the true index [N].

    >>> measure_brier(np.array([[0.75, 0.25]]), np.array([0])).tolist()
    [0.125]
    """
    own = scores[np.arange(len(truth)), truth].astype(np.float64)
    squares = np.einsum("nl,nl->n", scores, scores, dtype=np.float64)
    return np.asarray(squares - own**2 + (1 - own) ** 2)


def measure_log_loss(scores: NDArray[np.floating], truth: Ints) -> Floats:
    """The negative log-likelihood of each image [N], natural logarithm; scores below 2.2e-16 count as that.

    >>> measure_log_loss(np.array([[0.5, 0.5]]), np.array([0])).round(4).tolist()
    [0.6931]
    """
    own = scores[np.arange(len(truth)), truth].astype(np.float64)
    return -np.log(np.clip(own, _SMALLEST, 1 - _SMALLEST))


def measure_label_brier(scores: NDArray[np.floating], truth: Bools) -> Floats:
    """The mean squared difference from 1 or 0 over an image's labels [N], for multi-label models."""
    return np.asarray(np.mean((scores.astype(np.float64) - truth) ** 2, axis=1))


def measure_label_log_loss(scores: NDArray[np.floating], truth: Bools) -> Floats:
    """The mean negative log-likelihood over an image's labels [N], for multi-label models."""
    values = np.clip(scores.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.asarray(-np.mean(np.where(truth, np.log(values), np.log1p(-values)), axis=1))
