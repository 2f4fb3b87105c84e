"""The figures of one class or label, and the averages over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pictag.evaluation.estimates import Estimate, bootstrap, estimate_f1, estimate_share
from pictag.evaluation.figures import ClassFigures

if TYPE_CHECKING:
    from pictag.evaluation.metrics import ClassCounts, Floats
    from pictag.evaluation.ranking import ThresholdCurve
    from pictag.evaluation.scored import ScoredImages

NAMES = ("precision", "recall", "f1")
MICRO = tuple(f"micro_{name}" for name in NAMES)


def average_classes(
    count: Callable[[Floats], ClassCounts], n: int, averages: Sequence[str] = ("macro",)
) -> dict[str, Estimate]:
    """Macro or micro precision, recall and F1; ``count`` gives the counts for weights."""

    def estimate(average: str, name: str) -> Estimate:
        return bootstrap(lambda weights: float(getattr(count(weights), average)(name)), n)

    return {f"{average}_{name}": estimate(average, name) for average in averages for name in NAMES}


def describe_class(
    scored: ScoredImages,
    place: int,
    counts: ClassCounts,
    curve: ThresholdCurve,
    *,
    threshold: float | None,
    at: int | None = None,
) -> ClassFigures:
    """The figures of the name at this place; ``at`` is its place in ``counts``, by default the same."""
    index = place if at is None else at
    right, actual, kept = (
        int(column[index]) for column in (counts.true_positives, counts.actual, counts.predicted)
    )
    return ClassFigures(
        name=scored.mapping.names[place],
        labels=tuple(scored.model.labels[i] for i in scored.mapping.labels_of(place)),
        images=actual,
        predicted=kept,
        precision=estimate_share(right, kept),
        recall=estimate_share(right, actual),
        f1=estimate_f1(right, actual, kept),
        average_precision=estimate_average_precision(curve),
        threshold=threshold,
        best_threshold=curve.find_best_f1(),
    )


def estimate_average_precision(curve: ThresholdCurve) -> Estimate:
    """Average precision, with the interval of a share of the images that have the label.

    After K. Boyd et al., "Area under the precision-recall curve: point estimates and confidence intervals",
    2013, whose binomial interval this is.
    """
    positives = int(curve.positives)
    if not positives:
        return estimate_share(0, 0)
    return estimate_share(curve.average_precision * positives, positives)
