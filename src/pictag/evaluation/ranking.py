"""One label's scores against the truth: precision and recall at each threshold, and average precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pictag.evaluation.metrics import Bools, Floats

_PRIOR = 10  # images
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCurve:
    """The counts at each threshold, from the highest to the lowest score that occurs [T].

    ``kept`` is the number of images that reach the threshold, ``right`` the number of these that have the
    label, and ``positives`` the number of all images that have it.
    """

    thresholds: Floats
    kept: Floats
    right: Floats
    positives: float

    @property
    def precision(self) -> Floats:
        """The share of the kept images that have the label."""
        return self.right / self.kept

    @property
    def recall(self) -> Floats:
        """The share of the images with the label that are kept; NaN if no image has it."""
        return self.right / self.positives if self.positives else np.full(len(self.right), np.nan)

    @property
    def average_precision(self) -> float:
        """The sum of the precisions at each threshold, weighted by the increase in recall.

        Images with equal scores count together. NaN if no image has the label.
        """
        if not self.positives:
            return float("nan")
        return float(np.sum(np.diff(self.recall, prepend=0.0) * self.precision))

    def find_best_f1(self) -> float | None:
        """The threshold with the largest F1; ``None`` if no image has the label."""
        if not self.positives:
            return None
        return self.between(int((2 * self.right / (self.kept + self.positives)).argmax()))

    def between(self, place: int) -> float:
        """A threshold that keeps the same images as ``thresholds[place]``, half-way to the next lower score.

        So a score that another engine rounds differently stays on the same side.
        """
        below = self.thresholds[place + 1] if place + 1 < len(self.thresholds) else 0.0
        return float((self.thresholds[place] + below) / 2)


def make_curve(scores: NDArray[np.floating], truth: Bools, weights: Floats | None = None) -> ThresholdCurve:
    """The curve of one label's scores [N] and whether each image has the label [N].

    >>> curve = make_curve(np.array([0.9, 0.8, 0.3]), np.array([True, False, True]))
    >>> curve.precision.round(3).tolist(), round(curve.average_precision, 3)
    ([1.0, 0.5, 0.667], 0.833)
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order].astype(np.float64)
    weights = np.ones(len(scores)) if weights is None else weights[order]
    kept, right = np.cumsum(weights), np.cumsum(weights * truth[order])
    last = np.append(ordered[1:] != ordered[:-1], True) if len(ordered) else np.empty(0, bool)
    last &= kept > 0  # images without weight before the first one
    return ThresholdCurve(
        thresholds=ordered[last],
        kept=kept[last],
        right=right[last],
        positives=float(right[-1]) if len(right) else 0.0,
    )


def pool_curves(scores: NDArray[np.floating], truth: Bools) -> ThresholdCurve:
    """The curve of all labels together, from scores and truth [N, L], at 8,192 thresholds from 0 to 1.

    They are densest near 0, where most scores of a softmax are.

    >>> pool_curves(np.array([[0.9, 0.1], [0.2, 0.8]]), np.eye(2, dtype=bool)).precision.tolist()
    [1.0, 1.0, 0.6666666666666666, 0.5]
    """
    edges = np.concatenate([[0.0], np.geomspace(1e-7, 1, 8191)])
    kept, right = np.zeros(len(edges)), np.zeros(len(edges))
    for row, has_label in zip(scores.T, truth.T, strict=True):
        places = np.searchsorted(edges, row.astype(np.float64), side="right") - 1
        kept += np.bincount(places, minlength=len(edges))
        right += np.bincount(places, has_label, minlength=len(edges))
    filled = kept[::-1] > 0
    return ThresholdCurve(
        thresholds=edges[::-1][filled],
        kept=kept[::-1].cumsum()[filled],
        right=right[::-1].cumsum()[filled],
        positives=float(right.sum()),
    )


def choose_threshold(
    curve: ThresholdCurve,
    *,
    min_precision: float | None = None,
    min_recall: float | None = None,
    pooled: ThresholdCurve | None = None,
) -> float | None:
    """The lowest threshold with a precision, or the highest with a recall; ``None`` if none reaches it.

    Chosen from few images, a threshold looks better than it is. With ``pooled``, the curve of all labels
    together, each label's figure counts as if there were ten more images with the pooled figure at that
    threshold, and has to reach the wanted one with and without them.

    >>> curve = make_curve(np.array([0.9, 0.75, 0.25]), np.array([True, True, False]))
    >>> choose_threshold(curve, min_precision=0.9)
    0.5
    """
    if not curve.positives:
        return None
    if min_precision is not None:
        places = _reach(curve.precision, curve.kept, min_precision, curve, pooled)
        return curve.between(int(places[-1])) if len(places) else None
    assert min_recall is not None
    places = _reach(curve.recall, curve.positives, min_recall - _ROUNDING, curve, pooled)
    return curve.between(int(places[0])) if len(places) else None


def _reach(
    values: Floats,
    counts: Floats | float,
    wanted: float,
    curve: ThresholdCurve,
    pooled: ThresholdCurve | None,
) -> NDArray[np.int64]:
    """The places where precision or recall, a share of ``counts`` images, is at least the wanted one."""
    is_reached = values >= wanted
    if pooled is not None:
        at = np.searchsorted(-pooled.thresholds, -curve.thresholds, side="right") - 1
        at = np.maximum(at, 0)  # a score above the highest threshold, by rounding
        of_all = pooled.precision if counts is curve.kept else pooled.recall
        is_reached &= (values * counts + _PRIOR * of_all[at]) / (counts + _PRIOR) >= wanted
    return np.flatnonzero(is_reached)
