"""Image classification: a picture in, its labels out.

>>> from pictag import pipeline
>>> classifier = pipeline("image-classification", model="embedded")    # doctest: +SKIP
>>> classifier("tiger.jpg")                                            # doctest: +SKIP
{'label': 'tiger, Panthera tigris', 'score': 0.635}
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from pictag.errors import PictagError
from pictag.records import Failure, Label, Prediction

if TYPE_CHECKING:
    from pictag.pipeline import ImageClassificationPipeline, pipeline

__all__ = ["Failure", "ImageClassificationPipeline", "Label", "PictagError", "Prediction", "pipeline"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # The pipeline brings numpy, Pillow and ONNX Runtime with it: they load when it is first asked for.
    if name in ("ImageClassificationPipeline", "pipeline"):
        # Not `from pictag import pipeline`, which asks this function again. Loading binds both names.
        import_module("pictag.pipeline")
        return globals()[name]
    raise AttributeError(f"module 'pictag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _FrontDoor(ModuleType):
    """Keeps ``pictag.pipeline`` the function, whichever way the submodule of that name is imported.

    After a submodule is loaded, the import system binds it to its package under its own name. That name
    belongs to the function here, so the function is bound in its place.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name == "pipeline" and isinstance(value, ModuleType):
            super().__setattr__("ImageClassificationPipeline", value.ImageClassificationPipeline)
            value = value.pipeline
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
