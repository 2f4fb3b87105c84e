"""Evaluate a model whose labels exclude each other, on images with one label each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.evaluation.calibration_error import bin_scores, measure_brier, measure_log_loss
from pictag.evaluation.class_figures import MICRO, average_classes, describe_class
from pictag.evaluation.estimates import bootstrap, estimate_mean, estimate_share
from pictag.evaluation.figures import JudgedImage
from pictag.evaluation.metrics import ClassCounts, Floats, count_classes, list_confusions, rank_truth
from pictag.evaluation.operating_points import list_points
from pictag.evaluation.ranking import make_curve
from pictag.evaluation.right_kind import judge_concepts

if TYPE_CHECKING:
    from pictag.evaluation.scored import ScoredImages


def measure_classes(scored: ScoredImages) -> dict[str, Any]:
    """The parts of an `Evaluation` that depend on its kind."""
    scores, truth, names = scored.scores, scored.truth, scored.mapping.names
    n, class_count = scores.shape
    ranks, predicted = rank_truth(scores, truth), scores.argmax(axis=1)
    right, confidence = predicted == truth, scores[np.arange(n), predicted]
    counts = count_classes(truth, predicted, class_count=class_count)
    present = np.flatnonzero(counts.actual > 0)

    def count(weights: Floats) -> ClassCounts:
        return count_classes(truth, predicted, class_count=class_count, weights=weights)

    def measure_ece(weights: Floats) -> float:
        return bin_scores(confidence, right, weights=weights).expected_error

    figures = {
        f"top{k}": estimate_share((ranks < k).sum(), n) for k in (1, 3, 5) if k == 1 or k < class_count
    }
    # Every image has one prediction, so that the micro figures are all the accuracy.
    figures |= average_classes(count, n) | dict.fromkeys(MICRO, figures["top1"])
    figures["ece"] = bootstrap(measure_ece, n)
    figures["brier"] = estimate_mean(measure_brier(scores, truth))
    figures["log_loss"] = estimate_mean(measure_log_loss(scores, truth))
    overall, concepts = judge_concepts(scored.mapping, scored.model, truth, predicted)
    if overall is not None:
        figures["concept"] = overall
    curve = make_curve(confidence, right)
    classes = tuple(
        describe_class(scored, place, counts, make_curve(scores[:, place], truth == place), threshold=None)
        for place in present.tolist()
    )
    return {
        "figures": figures,
        "classes": classes,
        "confusions": tuple(
            (names[a], names[b], count)
            for a, b, count in list_confusions(truth, predicted, class_count=class_count)
        ),
        "reliability": bin_scores(confidence, right),
        "curve": curve,
        "points": list_points(curve, n),
        "concepts": concepts,
        "images": tuple(
            JudgedImage(
                name=image.name,
                source=image.source,
                truth=(names[actual],),
                predicted=(names[best],),
                score=float(score),
                truth_score=float(own),
                is_right=actual == best,
            )
            for image, actual, best, score, own in zip(
                scored.images, truth.tolist(), predicted.tolist(), confidence,
                scores[np.arange(n), truth], strict=True,
            )
        ),
    }  # fmt: skip
