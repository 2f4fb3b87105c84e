"""How much of a picture a model really needs."""

from __future__ import annotations

from pictag.preprocess.resize import Size, resized_size
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import OverWhite, ResizeStep, ToGrey


def needed_size(spec: PreprocessSpec, size: Size) -> Size | None:
    """The (height, width) to which a picture of ``size`` is resized first, ``None`` where it is cut before.

    A decoder may give a smaller picture than the file holds, as long as it is not smaller than this.

    >>> from pictag.preprocess.spec import plain_spec
    >>> needed_size(plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=0.875), (3000, 4000))
    (256, 341)
    """
    for step in spec.steps:
        if isinstance(step, ResizeStep):
            return resized_size(step, size)
        if not isinstance(step, OverWhite | ToGrey):
            return None
    return None
