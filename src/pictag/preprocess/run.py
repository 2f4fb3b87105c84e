"""From an image to the array that the model takes: one function for each type of step.

All geometry happens in Pillow on 8-bit pixels. What follows depends on nothing but a pixel's value and its
channel, so it is worked out once for the 256 values, in the reference's own order of float operations, and
then looked up: the result is the reference's to the bit, and looking up costs less than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, singledispatch
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
    Resize,
    ResizeLongest,
    ResizeShortest,
    ResizeStep,
    ResizeToCover,
    ResizeWithin,
    ToGrayscale,
)

MAX_RESIZED_PIXELS = 2**27
"""A thin image grows when its shorter edge is enlarged; beyond this (half a gigabyte) it is refused."""


def preprocess(image: Image.Image, spec: PreprocessSpec, *, is_exact: bool = True) -> NDArray[np.float32]:
    """The pixel values that the model takes: float32 [channels, height, width], contiguous.

    ``image`` is 8-bit RGB, upright (as `pictag.images` makes it). Without ``is_exact`` what is cropped away
    is not resized before: for a photograph of 4:3 that saves a third of the work, and single pixels differ
    from the reference's by a step or two of 255. Raises `ImageTooLarge` where the steps would blow the
    image up beyond all measure.

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
    tones = _tones(tuple(step for step in spec.steps if isinstance(step, PixelStep)), spec.channels)
    values = _look_up(image, tones)
    for step in spec.steps:
        if isinstance(step, ArrayStep):
            values = _pad(step, values)
    return values


def _resize_window(steps: list[ImageStep], image: Image.Image) -> Image.Image | None:
    """What two steps make of the image that resize it and then cut from within it; otherwise ``None``."""
    resize, crop = steps if len(steps) == 2 else (None, None)
    if not isinstance(resize, ResizeStep) or not isinstance(crop, CenterCrop):
        return None
    if resize.resample == "nearest":  # a pixel that is one off is another pixel, and it costs nothing anyway
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


@singledispatch
def _edit(step: ImageStep, image: Image.Image) -> Image.Image:
    raise TypeError(f"no function for {type(step).__name__}")


@_edit.register
def _(step: FlattenOnWhite, image: Image.Image) -> Image.Image:
    # The alpha channel is gone by now, but a colour that the file declares transparent is still known.
    if image.info.get("transparency") is None:
        return image
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


@_edit.register
def _(step: ToGrayscale, image: Image.Image) -> Image.Image:
    return image.convert("L")


@_edit.register
def _(step: CropFraction, image: Image.Image) -> Image.Image:
    height, width = fraction_size(step, (image.height, image.width))
    if not (height and width):  # 0.875 of one pixel is none: the reference goes on with black, and so do we
        return Image.new(image.mode, (max(1, width), max(1, height)))
    return _edit(CenterCrop(height=height, width=width), image)


@_edit.register(Resize)
@_edit.register(ResizeShortest)
@_edit.register(ResizeLongest)
@_edit.register(ResizeWithin)
@_edit.register(ResizeToCover)
def _(step: ResizeStep, image: Image.Image) -> Image.Image:
    height, width = resized_size(step, (image.height, image.width))
    if height * width > MAX_RESIZED_PIXELS:
        raise ImageTooLarge(
            f"The image is {image.width}×{image.height} (width×height); resized as the model asks, it "
            f"would be {width}×{height}, more than {MAX_RESIZED_PIXELS:,} pixels. Crop it before."
        )
    return image.resize((width, height), resample=_filter(step))


def _filter(step: ResizeStep) -> Image.Resampling:
    return Image.Resampling(RESAMPLE_NAMES.index(step.resample))


@_edit.register
def _(step: CenterCrop, image: Image.Image) -> Image.Image:
    left, top, right, bottom = center_box(step, (image.height, image.width))
    if any(step.fill) and (left < 0 or top < 0 or right > image.width or bottom > image.height):
        framed = Image.new("RGB", (step.width, step.height), step.fill).convert(image.mode)
        framed.paste(image, (-left, -top))
        return framed
    return image.crop((left, top, right, bottom))  # Pillow's border is black


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tones:
    """What becomes of the 8-bit values: ``table`` is [rows, 256]; row n reads the channel ``order[n]``."""

    table: NDArray[Any]
    order: tuple[int, ...]


@lru_cache(maxsize=256)
def _tones(steps: tuple[PixelStep, ...], channels: int) -> _Tones:
    untouched = np.tile(np.arange(256, dtype=np.uint8), (channels, 1))
    tones = _Tones(table=untouched, order=tuple(range(channels)))
    for step in steps:
        tones = _tone(step, tones)
    return _Tones(table=tones.table.astype(np.float32), order=tones.order)


@singledispatch
def _tone(step: PixelStep, tones: _Tones) -> _Tones:
    raise TypeError(f"no function for {type(step).__name__}")


@_tone.register
def _(step: Rescale, tones: _Tones) -> _Tones:
    # In double precision, then rounded: the order that the reference keeps. Its offset is added in single.
    table = (tones.table.astype(np.float64) * step.factor).astype(np.float32)
    return _Tones(table=table + np.float32(step.offset) if step.offset else table, order=tones.order)


@_tone.register
def _(step: Normalize, tones: _Tones) -> _Tones:
    mean, std = (np.array(values, dtype=np.float32)[:, None] for values in (step.mean, step.std))
    return _Tones(table=(tones.table.astype(np.float32) - mean) / std, order=tones.order)


@_tone.register
def _(step: FlipChannels, tones: _Tones) -> _Tones:
    return _Tones(table=tones.table[::-1], order=tones.order[::-1])


def _look_up(image: Image.Image, tones: _Tones) -> NDArray[np.float32]:
    planes = image.split()
    values = np.empty((len(planes), image.height, image.width), dtype=np.float32)
    for row, channel in enumerate(tones.order):
        # "clip" spares numpy a copy: no 8-bit value lies outside the 256
        np.take(tones.table[row], np.asarray(planes[channel]), out=values[row], mode="clip")
    return values


def _pad(step: ArrayStep, values: NDArray[np.float32]) -> NDArray[np.float32]:
    channels, height, width = values.shape
    if height > step.height or width > step.width:
        raise ImageTooLarge(
            f"The image is {width}×{height} (width×height) after resizing, but the model pads images to "
            f"{step.width}×{step.height}. Crop it before, or make it smaller."
        )
    padded = np.zeros((channels, step.height, step.width), dtype=np.float32)
    padded[:, :height, :width] = values
    return padded
