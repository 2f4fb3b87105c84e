"""Which part of an image the model sees: its own crop, the whole image, or three squares of it.

A model's centre crop cuts off the edges of a wide image. ``"whole"`` pads the image to a square, and
``"tiles"`` takes three squares along its longer side, whose scores are averaged.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image

from pictag.preprocess.resize import fraction_size, resized_size
from pictag.preprocess.steps import CenterCrop, CropFraction, Normalize, Rescale, ResizeStep

if TYPE_CHECKING:
    from pictag.options import Crop
    from pictag.preprocess.spec import PreprocessSpec

_LARGE = 4096  # the edge of a square that is large enough for fractions of a pixel not to matter
_MAX_EDGE = 8192
"""Larger squares are made of a smaller copy: a thin image of few pixels would fill gigabytes with padding."""


def crop_image(image: Image.Image, spec: PreprocessSpec, crop: Crop) -> tuple[Image.Image, ...]:
    """The images that are preprocessed for one RGB image.

    >>> from pictag.preprocess.spec import plain_spec
    >>> spec = plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=0.875)
    >>> wide = Image.new("RGB", (300, 100))
    >>> [part.size for part in crop_image(wide, spec, "whole")]
    [(343, 343)]
    >>> [part.size for part in crop_image(wide, spec, "tiles")]
    [(100, 100), (100, 100), (100, 100)]
    """
    if crop == "whole":
        return (_pad_to_square(image, spec),)
    if crop == "tiles":
        return _cut_tiles(image)
    return (image,)


def _pad_to_square(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    """The image on a square so large that the model's own crop cuts off nothing of it."""
    kept = _find_kept_share(spec)
    longest = math.floor(_MAX_EDGE * kept)
    if max(image.size) > longest:
        scale = longest / max(image.size)
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    edge = math.ceil(max(image.size) / kept)
    square = Image.new("RGB", (edge, edge), _find_neutral_colour(spec))
    square.paste(image, ((edge - image.width) // 2, (edge - image.height) // 2))
    return square


def _cut_tiles(image: Image.Image) -> tuple[Image.Image, ...]:
    edge = min(image.size)
    spare_x, spare_y = image.width - edge, image.height - edge
    corners = ((spare_x * part // 2, spare_y * part // 2) for part in range(3))
    return tuple(image.crop((x, y, x + edge, y + edge)) for x, y in corners)


def _find_kept_share(spec: PreprocessSpec) -> float:
    """The share of a square's edge that is left after the model's crop."""
    size, kept = (_LARGE, _LARGE), 1.0
    for step in spec.steps:
        if isinstance(step, ResizeStep):
            size = resized_size(step, size)
        elif isinstance(step, CropFraction | CenterCrop):
            cut = fraction_size(step, size) if isinstance(step, CropFraction) else (step.height, step.width)
            kept *= min(1.0, cut[0] / size[0], cut[1] / size[1])
            size = cut
    return kept


def _find_neutral_colour(spec: PreprocessSpec) -> tuple[int, int, int]:
    """The colour whose pixel values are 0: the mean; grey for a model without one."""
    factor = next((step.factor for step in spec.steps if isinstance(step, Rescale)), 1.0)
    mean = next((step.mean for step in spec.steps if isinstance(step, Normalize)), None)
    if mean is None:
        return 128, 128, 128
    levels = [min(255, max(0, round(value / factor))) for value in mean]
    red, green, blue = levels if len(levels) == 3 else 3 * levels[:1]
    return red, green, blue
