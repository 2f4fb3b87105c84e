"""Classify images with ONNX models.

>>> from pictag import pipeline
>>> classifier = pipeline("image-classification", model="embedded")    # doctest: +SKIP
>>> classifier("tiger.jpg")                                            # doctest: +SKIP
{'label': 'tiger, Panthera tigris', 'score': 0.635}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.errors import PictagError
from pictag.records import Failure, Label, Prediction

if TYPE_CHECKING:
    from pictag.pipelines import ImageClassificationPipeline, pipeline

__all__ = ["Failure", "ImageClassificationPipeline", "Label", "PictagError", "Prediction", "pipeline"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # The pipeline imports numpy, Pillow and ONNX Runtime, so it loads on first use.
    if name in ("ImageClassificationPipeline", "pipeline"):
        from pictag import pipelines

        return getattr(pipelines, name)
    raise AttributeError(f"module 'pictag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
