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
from pictag.preprocess.view import View, trace_view

if TYPE_CHECKING:
    from pictag.options import Crop
    from pictag.preprocess.resize import Box, Size
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


def find_views(size: Size, spec: PreprocessSpec, crop: Crop) -> tuple[View, ...]:
    """What the model sees of an image of ``size`` (height, width), for each array that `crop_image` leads to.

    >>> from pictag.preprocess.spec import plain_spec
    >>> spec = plain_spec(size=(224, 224), mean=[0.5], std=[0.5])
    >>> [(view.left, view.right) for view in find_views((100, 300), spec, "tiles")]
    [(0.0, 100.0), (100.0, 200.0), (200.0, 300.0)]
    """
    if crop == "whole":
        (width, height), edge = _find_square(size[::-1], spec)
        left, top = (edge - width) // 2, (edge - height) // 2
        square = View(top=-top, left=-left, bottom=edge - top, right=edge - left)
        full = View(top=0, left=0, bottom=size[0], right=size[1])
        return (full.magnify(square, (height, width)).magnify(trace_view(spec, (edge, edge)), (edge, edge)),)
    if crop == "tiles":
        tile = min(size), min(size)
        inner = trace_view(spec, tile)
        boxes = _find_tiles(size[::-1])
        return tuple(
            View(top=top, left=left, bottom=bottom, right=right).magnify(inner, tile)
            for left, top, right, bottom in boxes
        )
    return (trace_view(spec, size),)


def _pad_to_square(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    """The image on a square so large that the model's own crop cuts off nothing of it."""
    size, edge = _find_square(image.size, spec)
    if size != image.size:
        image = image.resize(size)
    square = Image.new("RGB", (edge, edge), _find_neutral_colour(spec))
    square.paste(image, ((edge - image.width) // 2, (edge - image.height) // 2))
    return square


def _find_square(size: tuple[int, int], spec: PreprocessSpec) -> tuple[tuple[int, int], int]:
    """The (width, height) that an image is resized to, and the edge of the square for it."""
    kept = _find_kept_share(spec)
    longest = math.floor(_MAX_EDGE * kept)
    if max(size) > longest:
        scale = longest / max(size)
        size = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return size, math.ceil(max(size) / kept)


def _cut_tiles(image: Image.Image) -> tuple[Image.Image, ...]:
    return tuple(image.crop(box) for box in _find_tiles(image.size))


def _find_tiles(size: tuple[int, int]) -> tuple[Box, ...]:
    edge = min(size)
    spare_x, spare_y = size[0] - edge, size[1] - edge
    corners = ((spare_x * part // 2, spare_y * part // 2) for part in range(3))
    return tuple((x, y, x + edge, y + edge) for x, y in corners)


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
