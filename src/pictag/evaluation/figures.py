"""The results of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pictag.evaluation.estimates import Estimate

if TYPE_CHECKING:
    from pictag.evaluation.calibration_error import ReliabilityBins
    from pictag.evaluation.operating_points import OperatingPoint
    from pictag.evaluation.ranking import ThresholdCurve
    from pictag.evaluation.right_kind import ConceptFigures
    from pictag.images import Source
    from pictag.records import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """The figures of one class or label.

    ``labels`` are the model's labels for the class. ``average_precision`` is of the label's
    scores. ``threshold`` is the one that ``precision``, ``recall`` and ``f1`` were measured with, ``None``
    where the best label counts; ``best_threshold`` gives the largest F1 on these images.
    """

    name: str
    labels: tuple[str, ...]
    images: int
    predicted: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate
    threshold: float | None
    best_threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedImage:
    """One image: its true and its predicted labels, and whether they are the same.

    ``score`` is the score of the predicted label, or in multi-label data the largest distance of a wrongly
    judged label's score from its threshold. ``truth_score`` is the score of the true label.
    """

    name: str
    source: Source
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    score: float
    truth_score: float | None
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The result of `evaluate`. ``figures`` are by name, as docs/evaluation.md lists them."""

    kind: str
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    figures: Mapping[str, Estimate]
    classes: tuple[ClassFigures, ...]
    confusions: tuple[tuple[str, str, int], ...]
    reliability: ReliabilityBins
    curve: ThresholdCurve | None
    points: tuple[OperatingPoint, ...]
    concepts: tuple[ConceptFigures, ...]
    images: tuple[JudgedImage, ...]
    failures: tuple[tuple[str, Failure], ...]
    skipped: int
    notes: tuple[str, ...]
