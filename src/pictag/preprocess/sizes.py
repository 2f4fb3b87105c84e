"""The size to which a model resizes an image, and the check that it stays within limits."""

from __future__ import annotations

from pictag.errors import ImageTooLarge
from pictag.preprocess.resize import Size, fraction_size, resized_size
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import CenterCrop, CropFraction, FlattenOnWhite, ResizeStep, ToGrayscale

ALWAYS_ALLOWED_PIXELS = 2**24
"""Images may always be resized to this many pixels, even if the limit for input images is lower: only very
thin images become larger."""


def target_size(spec: PreprocessSpec, size: Size) -> Size | None:
    """The (height, width) to which an image of ``size`` is resized first, ``None`` if it is cropped before.

    A decoder may scale an image down while decoding, but not below this size.

    >>> from pictag.preprocess.spec import plain_spec
    >>> target_size(plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=0.875), (3000, 4000))
    (256, 341)
    """
    for step in spec.steps:
        if isinstance(step, ResizeStep):
            return resized_size(step, size)
        if not isinstance(step, FlattenOnWhite | ToGrayscale):
            return None
    return None


def check_resized_size(spec: PreprocessSpec, size: Size, *, max_pixels: int) -> None:
    """Raise `ImageTooLarge` if preprocessing would enlarge an image beyond ``max_pixels``.

    ``size`` is its (height, width). An image of 30000×1 pixels whose shorter edge is enlarged to 224 would
    have 1.5 gigapixels. `ALWAYS_ALLOWED_PIXELS` are always allowed.

    >>> from pictag.preprocess.spec import plain_spec
    >>> spec = plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=True)
    >>> check_resized_size(spec, (1, 30_000), max_pixels=50_000_000)
    Traceback (most recent call last):
    ...
    pictag.errors.ImageTooLarge: The image is 30000×1 (width×height); resized as the model asks, ...
    """
    limit = max(max_pixels, ALWAYS_ALLOWED_PIXELS)
    height, width = size
    for step in spec.steps:
        if isinstance(step, ResizeStep):
            height, width = resized_size(step, (height, width))
        elif isinstance(step, CropFraction):
            height, width = (max(1, edge) for edge in fraction_size(step, (height, width)))
        elif isinstance(step, CenterCrop):
            height, width = step.height, step.width
        if height * width > limit and isinstance(step, ResizeStep):
            raise ImageTooLarge(
                f"The image is {size[1]}×{size[0]} (width×height); resized as the model asks, it "
                f"would be {width}×{height}, more than {limit:,} pixels. Crop it first."
            )
