"""Which threshold should one use? What each keeps, and how much of that is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pictag.evaluation.estimates import Estimate, estimate_share
from pictag.evaluation.ranking import ThresholdCurve

WANTED = (0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """With this threshold, a share of the images (``coverage``) keeps its best label.

    Of these, ``accuracy`` is right. ``wanted`` is the accuracy for which the threshold was chosen;
    ``threshold`` is ``None`` if none reaches it.
    """

    wanted: float
    threshold: float | None
    accuracy: Estimate
    coverage: Estimate


def list_points(curve: ThresholdCurve, n: int) -> tuple[OperatingPoint, ...]:
    """For each wanted accuracy, the threshold that keeps most of the ``n`` images."""
    points = []
    for wanted in WANTED:
        places = np.flatnonzero(curve.precision >= wanted)
        if not len(places):
            nothing = estimate_share(0, 0)
            points.append(
                OperatingPoint(wanted=wanted, threshold=None, accuracy=nothing, coverage=estimate_share(0, n))
            )
            continue
        place = int(places[-1])
        kept, right = int(curve.kept[place]), int(curve.right[place])
        is_all = kept == n
        points.append(
            OperatingPoint(
                wanted=wanted,
                threshold=0.0 if is_all else curve.between(place),
                accuracy=estimate_share(right, kept),
                coverage=estimate_share(kept, n),
            )
        )
    return tuple(points)
