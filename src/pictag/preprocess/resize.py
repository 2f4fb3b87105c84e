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
    height, width = size
    match step:
        case Resize():
            target = step.height, step.width
        case ResizeShortest():
            target = _fit_shortest(step, size)
        case ResizeLongest():
            other = int(step.edge * min(size) / max(size))
            target = (step.edge, other) if width <= height else (other, step.edge)
        case ResizeWithin() if step.rounding == "down":
            scale = min(step.height / height, step.width / width)
            target = int(height * scale), int(width * scale)
        case ResizeWithin():  # timm divides by the ratio; multiplying would differ in the last bit
            ratio = max(height / step.height, width / step.width)
            target = round(height / ratio), round(width / ratio)
        case ResizeToCover():
            ratio = min(height / step.height, width / step.width)
            target = round(height / ratio), round(width / ratio)
    return max(1, target[0]), max(1, target[1])


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
    """The box that the step cuts from an image of ``size``; it extends beyond a smaller image.

    >>> from pictag.preprocess.steps import CenterCrop
    >>> center_box(CenterCrop(height=2, width=4), (5, 3))
    (-1, 1, 3, 3)
    """
    spares = size[0] - step.height, size[1] - step.width
    match step.odd_pixel:
        case "transformers":
            top, left = (spare // 2 for spare in spares)
        case "timm":
            top, left = (round(spare / 2) if spare >= 0 else -(-spare // 2) for spare in spares)
        case _:
            top, left = (spare // 2 if spare >= 0 else -(-spare // 2) for spare in spares)
    return left, top, left + step.width, top + step.height
