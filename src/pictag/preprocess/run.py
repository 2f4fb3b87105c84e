"""Converts an image to the array that the model takes, step by step.

Geometry is done by Pillow on 8-bit pixels. The steps that follow depend only on a pixel's value and channel,
so they are computed once for the 256 values, in the reference's order of float operations, and then looked
up. The result equals the reference's bit for bit, and a lookup is faster than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
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
    PadToSquare,
    PixelStep,
    Rescale,
    ResizeStep,
    ToGrayscale,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALWAYS_ALLOWED_PIXELS = 2**24
"""Images may always be resized to this many pixels, even if the limit for input images is lower: only very
thin images become larger."""
MAX_RESIZED_PIXELS = 2**27
"""Enlarging the shorter edge of a thin image makes it huge; larger results (half a gigabyte) are refused."""


def preprocess(
    image: Image.Image,
    spec: PreprocessSpec,
    *,
    is_exact: bool = True,
    max_pixels: int = MAX_RESIZED_PIXELS,
) -> NDArray[np.float32]:
    """The pixel values that the model takes: float32 [channels, height, width], contiguous.

    ``image`` is 8-bit RGB, upright (as `pictag.images` makes it). With ``is_exact=False``, parts that will be
    cropped off aren't resized: this saves a third of the work for a 4:3 photograph, and a few pixels differ
    from the reference by 1 or 2 of 255. Raises `ImageTooLarge` if the resized image would exceed
    ``max_pixels``; `ALWAYS_ALLOWED_PIXELS` are always allowed.

    >>> from pictag.preprocess.spec import plain_spec
    >>> red = Image.new("RGB", (640, 480), "red")
    >>> preprocess(red, plain_spec(size=(2, 2), mean=[0.5], std=[0.5]))[:, 0, 0].tolist()
    [1.0, -1.0, -1.0]
    """
    if image.mode != ("L" if spec.channels == 1 and image.mode == "L" else "RGB"):
        image = image.convert("RGB")
    steps = [step for step in spec.steps if isinstance(step, ImageStep)]
    limit = min(max(max_pixels, ALWAYS_ALLOWED_PIXELS), MAX_RESIZED_PIXELS)
    while steps:
        window = None if is_exact else _resize_window(steps[:2], image, limit)
        if window is None:
            step = steps.pop(0)
            if isinstance(step, ResizeStep):
                image = _resize(step, image, limit)
            elif isinstance(step, PadToSquare):
                image = _pad_to_square(step, image, limit)
            else:
                image = _EDITS[type(step)](step, image)
        else:
            image = window
            del steps[:2]
    table, order = _make_table(
        tuple(step for step in spec.steps if isinstance(step, PixelStep)), spec.channels
    )
    values = _look_up(image, table, order)
    for pad in spec.steps:
        if isinstance(pad, ArrayStep):
            values = _pad(pad, values)
    return values


def _resize_window(steps: list[ImageStep], image: Image.Image, limit: int) -> Image.Image | None:
    """A resize and the centre crop after it in one operation; ``None`` if the steps aren't such a pair."""
    resize, crop = steps if len(steps) == 2 else (None, None)
    if not isinstance(resize, ResizeStep) or not isinstance(crop, CenterCrop):
        return None
    if resize.resample == "nearest":  # it is fast anyway, and would pick other pixels
        return None
    height, width = resized_size(resize, (image.height, image.width))
    left, top, right, bottom = center_box(crop, (height, width))
    if left < 0 or top < 0 or right > width or bottom > height or height * width > limit:
        return None
    x, y = image.width / width, image.height / height
    return image.resize(
        (crop.width, crop.height),
        resample=_FILTERS[resize.resample],
        box=(left * x, top * y, min(right * x, image.width), min(bottom * y, image.height)),
    )


def _flatten(_step: FlattenOnWhite, image: Image.Image) -> Image.Image:
    # The alpha channel was dropped before, but a colour that the file declares transparent is still known.
    if image.info.get("transparency") is None:
        return image
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _to_grayscale(_step: ToGrayscale, image: Image.Image) -> Image.Image:
    return image.convert("L")


def _crop_fraction(step: CropFraction, image: Image.Image) -> Image.Image:
    height, width = fraction_size(step, (image.height, image.width))
    if height and width:
        return _crop(CenterCrop(height=height, width=width), image)
    # For example 0.875 of one pixel: black, as in the reference.
    return Image.new(image.mode, (max(1, width), max(1, height)))


def _resize(step: ResizeStep, image: Image.Image, limit: int) -> Image.Image:
    height, width = resized_size(step, (image.height, image.width))
    if height * width > limit:
        raise ImageTooLarge(
            f"The image is {image.width}×{image.height} (width×height); resized as the model requires, "
            f"it would be {width}×{height}, more than {limit:,} pixels. Crop it first."
        )
    return image.resize((width, height), resample=_FILTERS[step.resample])


def _pad_to_square(step: PadToSquare, image: Image.Image, limit: int) -> Image.Image:
    edge = max(image.size)
    if edge * edge > limit:
        raise ImageTooLarge(
            f"The image is {image.width}×{image.height} (width×height); padded to a square as the model "
            f"requires, it would have more than {limit:,} pixels. Crop or shrink it first."
        )
    square = Image.new("RGB", (edge, edge), step.fill).convert(image.mode)
    square.paste(image, ((edge - image.width) // 2, (edge - image.height) // 2))
    return square


def _crop(step: CenterCrop, image: Image.Image) -> Image.Image:
    left, top, right, bottom = center_box(step, (image.height, image.width))
    if any(step.fill) and (left < 0 or top < 0 or right > image.width or bottom > image.height):
        framed = Image.new("RGB", (step.width, step.height), step.fill).convert(image.mode)
        framed.paste(image, (-left, -top))
        return framed
    return image.crop((left, top, right, bottom))  # Pillow's border is black


_FILTERS = {name: Image.Resampling(number) for number, name in enumerate(RESAMPLE_NAMES)}
_EDITS: dict[type, Callable[[Any, Image.Image], Image.Image]] = {
    FlattenOnWhite: _flatten,
    ToGrayscale: _to_grayscale,
    CropFraction: _crop_fraction,
    CenterCrop: _crop,
}


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
