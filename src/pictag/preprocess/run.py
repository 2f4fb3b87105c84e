"""Converts an image to the array that the model takes, step by step.

Geometry is done by Pillow on 8-bit pixels. The steps that follow depend only on a pixel's value and channel,
so they are computed once for the 256 values, in the reference's order of float operations, and then looked
up. The result equals the reference's bit for bit, and a lookup is faster than the arithmetic.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pictag.errors import ImageTooLarge
from pictag.preprocess.resize import center_box, fraction_size, resized_size
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import (
    RESAMPLE_NAMES,
    ArrayStep,
    CenterCrop,
    CropFraction,
    FlattenOnWhite,
    FlipChannels,
    ImageStep,
    Normalize,
    PixelStep,
    Rescale,
    ResizeStep,
    ToGrayscale,
)

MAX_RESIZED_PIXELS = 2**27
"""Enlarging the shorter edge of a thin image makes it huge; larger results (half a gigabyte) are refused."""


def preprocess(image: Image.Image, spec: PreprocessSpec, *, is_exact: bool = True) -> NDArray[np.float32]:
    """The pixel values that the model takes: float32 [channels, height, width], contiguous.

    ``image`` is 8-bit RGB, upright (as `pictag.images` makes it). With ``is_exact=False``, parts that will be
    cropped off aren't resized: this saves a third of the work for a 4:3 photograph, and a few pixels differ
    from the reference by 1 or 2 of 255. Raises `ImageTooLarge` if the resized image would exceed
    `MAX_RESIZED_PIXELS`.

    >>> from pictag.preprocess.spec import plain_spec
    >>> red = Image.new("RGB", (640, 480), "red")
    >>> preprocess(red, plain_spec(size=(2, 2), mean=[0.5], std=[0.5]))[:, 0, 0].tolist()
    [1.0, -1.0, -1.0]
    """
    if image.mode != ("L" if spec.channels == 1 and image.mode == "L" else "RGB"):
        image = image.convert("RGB")
    steps = [step for step in spec.steps if isinstance(step, ImageStep)]
    while steps:
        window = None if is_exact else _resize_window(steps[:2], image)
        if window is None:
            image = _edit(steps.pop(0), image)
        else:
            image = window
            del steps[:2]
    table, order = _make_table(
        tuple(step for step in spec.steps if isinstance(step, PixelStep)), spec.channels
    )
    values = _look_up(image, table, order)
    for step in spec.steps:
        if isinstance(step, ArrayStep):
            values = _pad(step, values)
    return values


def _resize_window(steps: list[ImageStep], image: Image.Image) -> Image.Image | None:
    """A resize and the centre crop after it in one operation; ``None`` if the steps aren't such a pair."""
    resize, crop = steps if len(steps) == 2 else (None, None)
    if not isinstance(resize, ResizeStep) or not isinstance(crop, CenterCrop):
        return None
    if resize.resample == "nearest":  # it is fast anyway, and would pick other pixels
        return None
    height, width = resized_size(resize, (image.height, image.width))
    left, top, right, bottom = center_box(crop, (height, width))
    if left < 0 or top < 0 or right > width or bottom > height or height * width > MAX_RESIZED_PIXELS:
        return None
    x, y = image.width / width, image.height / height
    return image.resize(
        (crop.width, crop.height),
        resample=_filter(resize),
        box=(left * x, top * y, min(right * x, image.width), min(bottom * y, image.height)),
    )


def _edit(step: ImageStep, image: Image.Image) -> Image.Image:
    match step:
        case FlattenOnWhite():
            return _flatten(image)
        case ToGrayscale():
            return image.convert("L")
        case CropFraction():
            height, width = fraction_size(step, (image.height, image.width))
            if height and width:
                return _crop(CenterCrop(height=height, width=width), image)
            # For example 0.875 of one pixel: black, as in the reference.
            return Image.new(image.mode, (max(1, width), max(1, height)))
        case CenterCrop():
            return _crop(step, image)
    return _resize(step, image)


def _flatten(image: Image.Image) -> Image.Image:
    # The alpha channel was dropped before, but a colour that the file declares transparent is still known.
    if image.info.get("transparency") is None:
        return image
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _resize(step: ResizeStep, image: Image.Image) -> Image.Image:
    height, width = resized_size(step, (image.height, image.width))
    if height * width > MAX_RESIZED_PIXELS:
        raise ImageTooLarge(
            f"The image is {image.width}×{image.height} (width×height); resized as the model asks, it "
            f"would be {width}×{height}, more than {MAX_RESIZED_PIXELS:,} pixels. Crop it first."
        )
    return image.resize((width, height), resample=_filter(step))


def _filter(step: ResizeStep) -> Image.Resampling:
    return Image.Resampling(RESAMPLE_NAMES.index(step.resample))


def _crop(step: CenterCrop, image: Image.Image) -> Image.Image:
    left, top, right, bottom = center_box(step, (image.height, image.width))
    if any(step.fill) and (left < 0 or top < 0 or right > image.width or bottom > image.height):
        framed = Image.new("RGB", (step.width, step.height), step.fill).convert(image.mode)
        framed.paste(image, (-left, -top))
        return framed
    return image.crop((left, top, right, bottom))  # Pillow's border is black


@lru_cache(maxsize=256)
def _make_table(steps: tuple[PixelStep, ...], channels: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """The result for each 8-bit value, float32 [rows, 256], and the channel that each row reads."""
    table: NDArray[Any] = np.tile(np.arange(256, dtype=np.uint8), (channels, 1))
    order = tuple(range(channels))
    for step in steps:
        match step:
            case Rescale():
                # In double precision, then rounded, as in the reference. The offset is added in single.
                table = (table.astype(np.float64) * step.factor).astype(np.float32)
                if step.offset:
                    table += np.float32(step.offset)
            case Normalize():
                mean, std = (np.array(values, np.float32)[:, None] for values in (step.mean, step.std))
                table = (table.astype(np.float32) - mean) / std
            case FlipChannels():
                table, order = table[::-1], order[::-1]
    return table.astype(np.float32), order


def _look_up(image: Image.Image, table: NDArray[np.float32], order: tuple[int, ...]) -> NDArray[np.float32]:
    planes = image.split()
    values = np.empty((len(planes), image.height, image.width), dtype=np.float32)
    for row, channel in enumerate(order):
        # mode="clip" saves a copy, and no value is out of range
        np.take(table[row], np.asarray(planes[channel]), out=values[row], mode="clip")
    return values


def _pad(step: ArrayStep, values: NDArray[np.float32]) -> NDArray[np.float32]:
    channels, height, width = values.shape
    if height > step.height or width > step.width:
        raise ImageTooLarge(
            f"The image is {width}×{height} (width×height) after resizing, but the model pads images to "
            f"{step.width}×{step.height}. Crop or shrink it first."
        )
    padded = np.zeros((channels, step.height, step.width), dtype=np.float32)
    padded[:, :height, :width] = values
    return padded
