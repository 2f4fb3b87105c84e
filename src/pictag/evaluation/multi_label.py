"""Evaluate labels that don't exclude each other: each is judged on its own, with its threshold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.evaluation.calibration_error import bin_scores, measure_label_brier, measure_label_log_loss
from pictag.evaluation.class_figures import average_classes, describe_class
from pictag.evaluation.estimates import bootstrap, estimate_mean, estimate_share
from pictag.evaluation.figures import JudgedImage
from pictag.evaluation.metrics import ClassCounts, Floats, count_labels
from pictag.evaluation.ranking import make_curve

if TYPE_CHECKING:
    from pictag.evaluation.scored import ScoredImages

DEFAULT_THRESHOLD = 0.5  # of a label without one of its own


def measure_labels(scored: ScoredImages) -> dict[str, Any]:
    """The parts of an `Evaluation` that depend on its kind."""
    names = [scored.mapping.names[place] for place in scored.judged]
    scores, truth = scored.scores[:, scored.judged], scored.truth[:, scored.judged]
    n = len(scores)
    thresholds = np.array([_find_threshold(scored, place) for place in scored.judged.tolist()], np.float32)
    predicted = scores >= thresholds
    counts = count_labels(truth, predicted)
    present = np.flatnonzero(counts.actual > 0)

    def count(weights: Floats) -> ClassCounts:
        return count_labels(truth[:, present], predicted[:, present], weights=weights)

    def measure_precision(weights: Floats) -> float:
        found = [
            make_curve(scores[:, place], truth[:, place], weights).average_precision for place in present
        ]
        return float(np.nanmean(found)) if np.isfinite(found).any() else math.nan

    def measure_ece(weights: Floats) -> float:
        return float(
            np.mean(
                [
                    bin_scores(s, t, weights=weights).expected_error
                    for s, t in zip(scores.T, truth.T, strict=True)
                ]
            )
        )

    is_same = (predicted == truth).all(axis=1)
    rounds = 400 if scores.size <= 200_000 else 100
    figures = {"exact": estimate_share(is_same.sum(), n)} | average_classes(count, n, ("macro", "micro"))
    figures["mean_average_precision"] = bootstrap(measure_precision, n, rounds=rounds)
    figures["ece"] = bootstrap(measure_ece, n, rounds=rounds)
    figures["brier"] = estimate_mean(measure_label_brier(scores, truth))
    figures["log_loss"] = estimate_mean(measure_label_log_loss(scores, truth))
    classes = []
    for place, column in enumerate(scored.judged.tolist()):
        curve = make_curve(scores[:, place], truth[:, place])
        own = ClassCounts(
            true_positives=counts.true_positives[place : place + 1],
            actual=counts.actual[place : place + 1],
            predicted=counts.predicted[place : place + 1],
        )
        classes.append(describe_class(scored, column, own, curve, threshold=float(thresholds[place]), at=0))
    distance = np.where(predicted != truth, np.abs(scores - thresholds), 0).max(axis=1)
    return {
        "figures": figures,
        "classes": tuple(classes),
        "confusions": (),
        "reliability": bin_scores(scores.ravel(), truth.ravel()),
        "curve": None,
        "points": (),
        "concepts": (),
        "images": tuple(
            JudgedImage(
                name=image.name,
                source=image.source,
                truth=tuple(name for name, is_true in zip(names, actual, strict=True) if is_true),
                predicted=tuple(name for name, is_kept in zip(names, kept, strict=True) if is_kept),
                score=float(far),
                truth_score=None,
                is_right=bool(same),
            )
            for image, actual, kept, far, same in zip(
                scored.images, truth, predicted, distance, is_same, strict=True
            )
        ),
    }


def _find_threshold(scored: ScoredImages, place: int) -> float:
    own = [
        scored.model.thresholds[scored.model.labels[index]]
        for index in scored.mapping.labels_of(place)
        if scored.model.labels[index] in scored.model.thresholds
    ]
    return own[0] if len(own) == 1 else DEFAULT_THRESHOLD
