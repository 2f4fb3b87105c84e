"""Measure how good a model is on labelled images, and which threshold to use.

>>> from pictag.evaluation import estimate_share
>>> estimate_share(45, 50).value
0.9
"""

from __future__ import annotations

from pictag.evaluation.assessment import evaluate, measure
from pictag.evaluation.estimates import Estimate, estimate_share
from pictag.evaluation.figures import ClassFigures, Evaluation, JudgedImage
from pictag.evaluation.labelled import LabelledData, LabelledImage, read_labelled
from pictag.evaluation.mapping import LabelMapping, map_classes
from pictag.evaluation.scored import (
    ScoreCollector,
    ScoredImages,
    ScoredModel,
    describe_model,
    read_predictions,
)

__all__ = [
    "ClassFigures",
    "Estimate",
    "Evaluation",
    "JudgedImage",
    "LabelMapping",
    "LabelledData",
    "LabelledImage",
    "ScoreCollector",
    "ScoredImages",
    "ScoredModel",
    "describe_model",
    "estimate_share",
    "evaluate",
    "map_classes",
    "measure",
    "read_labelled",
    "read_predictions",
]
