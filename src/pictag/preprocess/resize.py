"""The geometry of resizing and cropping: sizes in, sizes out, no pixels.

Sizes are (height, width). Fractions of a pixel are rounded down, as in transformers and torchvision, unless a
step says otherwise. An edge is at least one pixel, even for very thin images on which the reference fails.
"""

from __future__ import annotations

import math

from pictag.preprocess.steps import (
    CenterCrop,
    CropFraction,
    Resize,
    ResizeLongest,
    ResizeShortest,
    ResizeStep,
    ResizeToCover,
    ResizeWithin,
)

Size = tuple[int, int]
"""(height, width)"""

Box = tuple[int, int, int, int]
"""(left, top, right, bottom), as in Pillow's ``crop``; parts outside the image become border."""


def resized_size(step: ResizeStep, size: Size) -> Size:
    """The size of an image of ``size`` after the step.

    >>> from pictag.preprocess.steps import ResizeShortest
    >>> resized_size(ResizeShortest(edge=256, resample="bilinear"), (480, 641))
    (256, 341)
    """
    height, width = _target_size(step, size)
    return max(1, height), max(1, width)


def _target_size(step: ResizeStep, size: Size) -> Size:
    height, width = size
    match step:
        case Resize():
            return step.height, step.width
        case ResizeShortest():
            return _fit_shortest(step, size)
        case ResizeLongest():
            other = int(step.edge * min(size) / max(size))
            return (step.edge, other) if width <= height else (other, step.edge)
        case ResizeWithin() if step.rounding == "down":
            scale = min(step.height / height, step.width / width)
            return int(height * scale), int(width * scale)
        case ResizeWithin():  # timm divides by the ratio; multiplying would differ in the last bit
            ratio = max(height / step.height, width / step.width)
        case ResizeToCover():
            ratio = min(height / step.height, width / step.width)
    return round(height / ratio), round(width / ratio)


def _fit_shortest(step: ResizeShortest, size: Size) -> Size:
    short, long = min(size), max(size)
    if step.longest is not None and long / short * step.edge > step.longest:
        exact = step.longest * short / long
        new_short = round(exact)
        new_long = long if new_short == short else int(exact * long / short)
    elif step.rounding == "nearest":
        scale = step.edge / short
        new_short, new_long = round(short * scale), round(long * scale)
    else:
        new_short, new_long = step.edge, int(step.edge * long / short)
    new_short, new_long = (math.ceil(n / step.multiple) * step.multiple for n in (new_short, new_long))
    return (new_long, new_short) if size[1] <= size[0] else (new_short, new_long)


def fraction_size(step: CropFraction, size: Size) -> Size:
    """The size of the box that the step cuts from an image of ``size``; an edge can be 0."""
    short = min(size)
    return int(step.height * short), int(step.width * short)


def center_box(step: CenterCrop, size: Size) -> Box:
    """The box that the step cuts from an image of ``size``; it exceeds an image that is smaller.

    >>> from pictag.preprocess.steps import CenterCrop
    >>> center_box(CenterCrop(height=2, width=4), (5, 3))
    (-1, 1, 3, 3)
    """
    top = _start(step, size[0], step.height)
    left = _start(step, size[1], step.width)
    return left, top, left + step.width, top + step.height


def _start(step: CenterCrop, edge: int, wanted: int) -> int:
    spare = edge - wanted
    if step.odd_pixel == "transformers":
        return spare // 2
    if spare < 0:
        return -(-spare // 2)
    return round(spare / 2) if step.odd_pixel == "timm" else spare // 2
