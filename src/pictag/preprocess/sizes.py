"""The size to which a model resizes an image first."""

from __future__ import annotations

from pictag.preprocess.resize import Size, resized_size
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import FlattenOnWhite, PadToSquare, ResizeStep, ToGrayscale


def target_size(spec: PreprocessSpec, size: Size) -> Size | None:
    """The (height, width) to which an image of ``size`` is resized first, ``None`` if it is cropped before.

    A decoder may scale an image down while decoding, but not below this size.

    >>> from pictag.preprocess.spec import plain_spec
    >>> target_size(plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=0.875), (3000, 4000))
    (256, 341)
    """
    for step in spec.steps:
        if isinstance(step, PadToSquare):
            size = max(size), max(size)
            continue
        if isinstance(step, ResizeStep):
            return resized_size(step, size)
        if not isinstance(step, FlattenOnWhite | ToGrayscale):
            return None
    return None
