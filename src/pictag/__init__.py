"""Classify images with ONNX models.

>>> from pictag import pipeline
>>> classifier = pipeline("image-classification", model="embedded")    # doctest: +SKIP
>>> classifier("tiger.jpg")                                            # doctest: +SKIP
{'label': 'tiger, Panthera tigris', 'score': 0.635}
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes 10 ms

if TYPE_CHECKING:
    from pictag.errors import PictagError
    from pictag.pipelines import ImageClassificationPipeline, pipeline
    from pictag.records import Failure, Label, Prediction

__all__ = ["Failure", "ImageClassificationPipeline", "Label", "PictagError", "Prediction", "pipeline"]

__version__ = "0.1.0"

# Each loads on first use: the pipeline imports numpy, Pillow and ONNX Runtime.
_MODULES = {
    "Failure": "records",
    "ImageClassificationPipeline": "pipelines",
    "Label": "records",
    "PictagError": "errors",
    "Prediction": "records",
    "pipeline": "pipelines",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in ("errors", "records"):
        return import_module(f"pictag.{name}")
    if name in _MODULES:
        return getattr(import_module(f"pictag.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'pictag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
