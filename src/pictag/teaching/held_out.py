"""The cross-validation of a taught model: accuracy, figures per label, confusions, worst images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pictag.evaluation import Estimate, estimate_share
from pictag.evaluation.estimates import Z
from pictag.evaluation.metrics import count_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pictag.teaching.fit import Fitted

_MOST_WORST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFigures:
    """One label. ``n`` of precision and recall are images; ``auc`` is the area under its ROC curve."""

    label: str
    images: int
    precision: Estimate
    recall: Estimate
    auc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Images of ``label`` that got ``predicted``: the mean number in a round of cross-validation."""

    label: str
    predicted: str
    images: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstImage:
    """An image with a low score for its ``label``, or a high one for a label that it doesn't have."""

    name: str
    label: str
    has_label: bool
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """The figures of held-out images.

    ``figure`` is the accuracy, or with several labels per image the mean area under the labels' ROC curves.
    Its ``n`` counts near copies once. ``chance`` is what it must exceed: the share of the largest class, or
    0.5.
    """

    rounds: int
    folds: int
    figure: Estimate
    chance: float
    labels: tuple[LabelFigures, ...]
    confusions: tuple[Confusion, ...]
    worst: tuple[WorstImage, ...]

    @property
    def is_better_than_chance(self) -> bool:
        """Whether the lower end of the 95 % interval is above chance."""
        return self.figure.low > self.chance


def summarize(
    fitted: Fitted,
    targets: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    labels: Sequence[str],
    names: Sequence[str],
    is_multi_label: bool,
) -> CrossValidation:
    """The figures from the held-out probabilities [R, N, L] and the true labels [N, L]."""
    scores = fitted.held_out
    rounds, images, _ = scores.shape
    if is_multi_label:
        predicted = scores >= 0.5
    else:
        predicted = scores.argmax(axis=-1)[..., None] == np.arange(len(labels))
    counts = count_labels(np.tile(targets, (rounds, 1)), predicted.reshape(rounds * images, -1))
    areas = [
        float(np.mean([measure_auc(scores[r, :, i], targets[:, i]) for r in range(rounds)]))
        for i in range(len(labels))
    ]
    distinct = len(np.unique(groups))
    if is_multi_label:
        figure, chance = _estimate_mean_auc(areas, targets, groups), 0.5
    else:
        right = float((predicted & targets).any(axis=-1).mean())
        figure, chance = estimate_share(right * distinct, distinct), float(targets.mean(axis=0).max())
    return CrossValidation(
        rounds=rounds,
        folds=fitted.folds,
        figure=figure,
        chance=chance,
        labels=tuple(
            LabelFigures(
                label=label,
                images=int(targets[:, i].sum()),
                precision=_estimate(counts.true_positives[i], counts.predicted[i], rounds),
                recall=_estimate(counts.true_positives[i], counts.actual[i], rounds),
                auc=areas[i],
            )
            for i, label in enumerate(labels)
        ),
        confusions=() if is_multi_label else _list_confusions(targets, predicted, labels),
        worst=_list_worst(scores.mean(axis=0), targets, labels, names, is_multi_label=is_multi_label),
    )


def _estimate(count: float, total: float, rounds: int) -> Estimate:
    """A share from sums over all rounds. These have the same images, so ``n`` is the mean of a round."""
    n = round(total / rounds)
    return estimate_share(float(count / total) * n if total else 0.0, n)


def measure_auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """The area under the ROC curve of scores [N]: how often an image with the label scores higher than one
    without. Equal scores count half. NaN if all have the label, or none.

    >>> measure_auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    positive, negative = scores[truth], np.sort(scores[~truth])
    if not len(positive) or not len(negative):
        return math.nan
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(below.mean() / (2 * len(negative)))


def _estimate_mean_auc(
    areas: Sequence[float], targets: NDArray[np.bool_], groups: NDArray[np.int64]
) -> Estimate:
    """The mean area with an interval after J. A. Hanley and B. J. McNeil (1982), near copies counted once."""
    variance = 0.0
    for area, column in zip(areas, targets.T, strict=True):
        positives, negatives = len(np.unique(groups[column])), len(np.unique(groups[~column]))
        # With an area of 1, the formula's variance is 0, however few images there are.
        a = min(area, 1 - 1 / (2 * (positives + negatives)))
        variance += (
            a * (1 - a)
            + (positives - 1) * (a / (2 - a) - a * a)
            + (negatives - 1) * (2 * a * a / (1 + a) - a * a)
        ) / (positives * negatives)
    mean, half = float(np.mean(areas)), Z * math.sqrt(variance) / len(areas)
    return Estimate(
        value=mean, n=len(np.unique(groups)), low=max(mean - half, 0.0), high=min(mean + half, 1.0)
    )


def _list_confusions(
    targets: NDArray[np.bool_], predicted: NDArray[np.bool_], labels: Sequence[str]
) -> tuple[Confusion, ...]:
    """The pairs of labels that are confused, most frequent first."""
    counts = np.einsum("nl,rnp->lp", targets, predicted, dtype=np.int64)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")
    pairs = zip(*np.unravel_index(order, counts.shape), strict=True)
    return tuple(
        Confusion(
            label=labels[true], predicted=labels[given], images=int(counts[true, given]) / len(predicted)
        )
        for true, given in pairs
        if counts[true, given]
    )


def _list_worst(
    scores: NDArray[np.float64],
    targets: NDArray[np.bool_],
    labels: Sequence[str],
    names: Sequence[str],
    *,
    is_multi_label: bool,
) -> tuple[WorstImage, ...]:
    """The images whose scores [N, L] are furthest from the truth, worst first."""
    distance = np.abs(targets - scores) if is_multi_label else np.where(targets, 1 - scores, 0)
    furthest = distance.argmax(axis=1)
    order = np.argsort(-distance.max(axis=1), kind="stable")[:_MOST_WORST]
    return tuple(
        WorstImage(
            name=names[image],
            label=labels[furthest[image]],
            has_label=bool(targets[image, furthest[image]]),
            score=float(scores[image, furthest[image]]),
        )
        for image in order.tolist()
        if distance[image].max() > 0.5
    )
