"""The images to classify: generated ones, and a check of those that are given."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pictag.benchmark.records import BrokenImage, ImageFacts
from pictag.engines.cores import count_cores
from pictag.errors import InputError, NotAnImage
from pictag.images import Failed, ImageLimits, Source, read_image
from pictag.preprocess.run import preprocess
from pictag.records import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pictag.preprocess.spec import PreprocessSpec

SIZE = (500, 375)  # a common size of photographs in data sets
_QUALITY = 90


def draw_images(folder: Path, count: int) -> list[Source]:
    """Write ``count`` JPEG files of 500×375 into the folder; they are the same every time.

    Soft shapes with fine noise give files of about 70 kB, like photographs of that size. Flat shapes alone
    would decode in half the time.
    """
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        draw_image(number).save(path, quality=_QUALITY)
    return [Source(name=str(path), kind="file", value=str(path)) for path in paths]


def draw_image(number: int) -> Image.Image:
    """Image ``number``: shapes, a gradient and noise."""
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


def check_images(
    images: Sequence[Source | Failed], spec: PreprocessSpec, *, limits: ImageLimits, folder: str | None
) -> tuple[tuple[Source, ...], ImageFacts]:
    """Decode and preprocess each image once; return those that can be used, and a description of all.

    Raises `NotAnImage` if none can be used.
    """
    with ThreadPoolExecutor(count_cores()) as pool:
        checked = list(pool.map(lambda image: _check(image, spec, limits), images))
    broken = [one for one in checked if isinstance(one, BrokenImage)]
    sizes = [one for one in checked if not isinstance(one, BrokenImage)]
    if not sizes:
        raise NotAnImage(
            f"None of the {len(broken)} images can be used. The first: {broken[0].failure.message}"
        )
    usable = tuple(
        image
        for image, one in zip(images, checked, strict=True)
        if isinstance(image, Source) and not isinstance(one, BrokenImage)
    )
    return usable, ImageFacts(
        folder=folder,
        count=len(usable),
        broken=tuple(broken),
        mean_bytes=fmean(size_bytes for size_bytes, _ in sizes),
        mean_pixels=fmean(pixels for _, pixels in sizes),
    )


def _check(
    image: Source | Failed, spec: PreprocessSpec, limits: ImageLimits
) -> tuple[int, int] | BrokenImage:
    """The image's bytes and pixels, or what is wrong with it."""
    try:
        if isinstance(image, Failed):
            raise image.error
        decoded = read_image(image, limits=limits)
        preprocess(decoded.rgb, spec, max_pixels=limits.max_pixels)
        width, height = decoded.original_size
        size_bytes = os.stat(image.value).st_size  # noqa: PTH116 - pathlib rejects names that the system accepts
        return size_bytes, width * height
    except (InputError, OSError) as error:
        failure = Failure(kind=type(error).__name__, message=str(error))
        return BrokenImage(source=image.name, failure=failure)
