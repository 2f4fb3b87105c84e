"""Metrics of predictions: ranks, and counts per class with precision, recall and F1.

All take numpy arrays. ``weights`` [N] counts an image several times or not at all, for the bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def rank_truth(scores: NDArray[np.floating], truth: Ints) -> Ints:
    """The rank of each image's true label: 0 if it has the highest score.

    ``scores`` is [N, L], ``truth`` the true index [N]. Equal scores are in index order, as in pictag's
    results.

    >>> rank_truth(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]), np.array([2, 2])).tolist()
    [1, 1]
    """
    if not len(truth):
        return np.empty(0, np.int64)
    own = scores[np.arange(len(truth)), truth][:, None]
    before = np.arange(scores.shape[1]) < truth[:, None]
    return np.asarray(((scores > own) | ((scores == own) & before)).sum(axis=1), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """For each class [C]: images with the class, images predicted as it, and those that are both."""

    true_positives: Floats
    actual: Floats
    predicted: Floats

    @property
    def precision(self) -> Floats:
        """The share of the predictions that are right; NaN for a class that is never predicted."""
        return _divide(self.true_positives, self.predicted)

    @property
    def recall(self) -> Floats:
        """The share of the class that is found; NaN for a class without images."""
        return _divide(self.true_positives, self.actual)

    @property
    def f1(self) -> Floats:
        """The harmonic mean of precision and recall; NaN for a class that neither occurs nor is predicted."""
        return _divide(2 * self.true_positives, self.actual + self.predicted)

    def macro(self, name: str) -> float:
        """The mean of "precision", "recall" or "f1" over the classes with images.

        A class that is never predicted has a precision of 0 here. NaN without images.
        """
        present = self.actual > 0
        values: Floats = getattr(self, name)[present]
        return float(np.nan_to_num(values).mean()) if len(values) else np.nan

    def micro(self, name: str) -> float:
        """The same figure from the counts of all classes together."""
        total = ClassCounts(
            true_positives=self.true_positives.sum(keepdims=True),
            actual=self.actual.sum(keepdims=True),
            predicted=self.predicted.sum(keepdims=True),
        )
        return float(getattr(total, name)[0])


def count_classes(
    truth: Ints, predicted: Ints, *, class_count: int, weights: Floats | None = None
) -> ClassCounts:
    """Counts from the true and the predicted class of each image [N].

    >>> count_classes(np.array([0, 0, 1]), np.array([0, 1, 1]), class_count=2).recall.tolist()
    [0.5, 1.0]
    """
    right = truth == predicted
    kept = None if weights is None else weights[right]
    return ClassCounts(
        true_positives=np.bincount(truth[right], kept, minlength=class_count).astype(np.float64),
        actual=np.bincount(truth, weights, minlength=class_count).astype(np.float64),
        predicted=np.bincount(predicted, weights, minlength=class_count).astype(np.float64),
    )


def count_labels(truth: Bools, predicted: Bools, *, weights: Floats | None = None) -> ClassCounts:
    """Counts from the true and the predicted labels of each image, [N, L] each, for multi-label models.

    >>> both = np.array([[True, True], [False, True]])
    >>> count_labels(both, np.array([[True, False], [True, True]])).precision.tolist()
    [0.5, 1.0]
    """
    every = np.ones(len(truth)) if weights is None else weights
    return ClassCounts(
        true_positives=every @ (truth & predicted), actual=every @ truth, predicted=every @ predicted
    )


def list_confusions(truth: Ints, predicted: Ints, *, class_count: int) -> list[tuple[int, int, int]]:
    """True class, predicted class and number of images for each mistake, most frequent first.

    >>> list_confusions(np.array([0, 0, 1]), np.array([1, 1, 0]), class_count=2)
    [(0, 1, 2), (1, 0, 1)]
    """
    wrong = truth != predicted
    codes, counts = np.unique(truth[wrong] * class_count + predicted[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [
        (code // class_count, code % class_count, count)
        for code, count in zip(codes[order].tolist(), counts[order].tolist(), strict=True)
    ]


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    quotients = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotients, where=denominator > 0)
    return quotients
