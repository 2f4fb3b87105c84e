"""The images that are classified: drawn by code, or a folder's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pictag.errors import ImageNotFound, shorten
from pictag.images import Failed, Source, expand
from pictag.images.source import exists

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (500, 375)  # what most photographs of the usual data sets have
_QUALITY = 90


def draw_images(folder: Path, count: int) -> list[Source]:
    """Write ``count`` JPEGs of 500×375 into the folder: the same ones each time.

    Shapes with soft edges under fine noise make files of about 70 kB, as photographs of that size are; flat
    shapes alone would be decoded in half the time.
    """
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        draw_image(number).save(path, quality=_QUALITY)
    return [Source(name=str(path), kind="file", value=str(path)) for path in paths]


def draw_image(number: int) -> Image.Image:
    """DecodedImage ``number``: shapes, a gradient and noise."""
    rng = np.random.default_rng(number)
    width, height = SIZE
    image = Image.linear_gradient("L").rotate(float(rng.integers(0, 360))).resize(SIZE)
    image = Image.merge("RGB", [image.point(lambda v, s=s: int(v * s)) for s in rng.uniform(0.2, 1, 3)])
    pen = ImageDraw.Draw(image)
    for _ in range(24):
        left, top = int(rng.integers(-40, width)), int(rng.integers(-40, height))
        box = (left, top, left + int(rng.integers(20, 200)), top + int(rng.integers(20, 200)))
        draw = (pen.ellipse, pen.rectangle)[int(rng.integers(2))]
        draw(box, fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), np.float32)
    noise = rng.normal(0, 9, (height, width, 1)) + rng.normal(0, 3, (height, width, 3))
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def choose_images(folder: Path, *, count: int, recursive: bool) -> list[Source | Failed]:
    """At most ``count`` of the images in a folder, or that match a glob, spread evenly over them.

    Raises an `InputError` where there is none.
    """
    found = list(expand([folder], recursive=recursive))
    if len(found) == 1 and isinstance(found[0], Failed):
        raise found[0].error
    if len(found) == 1 and not exists(found[0].name):
        raise ImageNotFound(f"{shorten(folder)}: there is no such folder.")
    return [found[index * len(found) // count] for index in range(count)] if len(found) > count else found
