"""Compare two evaluations of the same images: their figures, what changed, and a significance test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pictag.errors import InvalidData, shorten
from pictag.evaluation.estimates import Estimate
from pictag.evaluation.metrics_file import SavedMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedImage:
    """An image that one model classifies correctly and the other doesn't."""

    name: str
    truth: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """The second evaluation against the first.

    ``images`` is the number of images that both evaluations have with the same true labels; ``other_truth``
    counts those with different ones, such as different images with the same name. ``both_right`` and
    ``both_wrong`` count those that didn't change. ``p_value`` is that of McNemar's test: the probability of
    such an uneven change, or a more uneven one, if both models are equally good. ``figures`` has each figure
    of both evaluations, before and after, for all images of each evaluation.
    """

    images: int
    only_before: int
    only_after: int
    other_truth: int
    both_right: int
    both_wrong: int
    newly_right: tuple[ChangedImage, ...]
    newly_wrong: tuple[ChangedImage, ...]
    p_value: float
    figures: Mapping[str, tuple[Estimate, Estimate]]
    recalls: Mapping[str, tuple[Estimate, Estimate]]


def compare(before: SavedMetrics, after: SavedMetrics) -> ModelComparison:
    """Compare evaluations image by image; images are matched by name.

    Raises `InvalidData` if they have no image with the same true labels in common, or are of different kinds.
    """
    if before.kind != after.kind:
        raise InvalidData(
            f"{shorten(before.path)} is a {before.kind.replace('_', '-')} evaluation, {shorten(after.path)} "
            f"a {after.kind.replace('_', '-')} one, so their figures can't be compared."
        )
    named = [name for name in before.images if name in after.images]
    known = before.recalls.keys() & after.recalls.keys()  # a model without a label has another name for it
    common = [
        name
        for name in named
        if known.intersection(before.images[name][0]) == known.intersection(after.images[name][0])
    ]
    if not common:
        raise InvalidData(
            f"{shorten(before.path)} and {shorten(after.path)} have no images in common"
            f"{', only names of images with other labels' if named else ''}. Evaluate both models with the "
            "same data."
        )
    right: list[ChangedImage] = []
    wrong: list[ChangedImage] = []
    both_right = both_wrong = 0
    for name in common:
        truth, old, was_right = before.images[name]
        _, new, is_right = after.images[name]
        changed = ChangedImage(name=name, truth=truth, before=old, after=new)
        if was_right == is_right:
            both_right += is_right
            both_wrong += not is_right
        else:
            (right if is_right else wrong).append(changed)
    return ModelComparison(
        images=len(common),
        only_before=len(before.images) - len(named),
        only_after=len(after.images) - len(named),
        other_truth=len(named) - len(common),
        both_right=both_right,
        both_wrong=both_wrong,
        newly_right=tuple(right),
        newly_wrong=tuple(wrong),
        p_value=measure_mcnemar(len(right), len(wrong)),
        figures=_pair(before.figures, after.figures),
        recalls=_pair(before.recalls, after.recalls),
    )


def _pair(
    before: Mapping[str, Estimate], after: Mapping[str, Estimate]
) -> dict[str, tuple[Estimate, Estimate]]:
    return {name: (value, after[name]) for name, value in before.items() if name in after}


def measure_mcnemar(newly_right: int, newly_wrong: int) -> float:
    """The two-sided p-value of McNemar's exact test (Q. McNemar, 1947).

    If both models are equally good, each changed image is as likely to become right as wrong.

    >>> round(measure_mcnemar(8, 1), 6)
    0.039062
    """
    n, fewer = newly_right + newly_wrong, min(newly_right, newly_wrong)
    if n == 0:
        return 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
        for k in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))
