"""Decoding and preprocessing alone, with a thread on each core, as the line does them."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from pictag.benchmark.jobs import Began, Found
from pictag.benchmark.rates import measure_rate
from pictag.benchmark.records import BrokenImage
from pictag.engines.cores import count_cores
from pictag.errors import ImageUnreadable, InputError, NotAnImage, shorten
from pictag.images import Failed, Source, read_image
from pictag.models.load import load_model
from pictag.preprocess.run import preprocess
from pictag.preprocess.sizes import target_size
from pictag.records import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from pictag.benchmark.jobs import ImageJob, Message
    from pictag.images import DecodedImage
    from pictag.preprocess.spec import PreprocessSpec

_HELD_BYTES = 256 * 2**20  # of decoded images, for preprocessing to begin with


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usable:
    source: Source
    size_bytes: int
    pixels: int


def measure_images(job: ImageJob) -> Iterator[Message]:
    """Leave out what cannot be used, then decode and preprocess the rest again and again.

    Raises `NotAnImage` where nothing can be used.
    """
    yield Began(step="looking at the images")
    spec = load_model(job.model.reference, job.model.load_options).spec
    threads = count_cores()
    with ThreadPoolExecutor(threads) as pool:
        looks = list(pool.map(lambda image: _look_at(image, spec), job.images))
    usable = [look for look in looks if isinstance(look, _Usable)]
    broken = tuple(look for look in looks if isinstance(look, BrokenImage))
    if not usable:
        raise NotAnImage(
            f"None of the {len(broken)} images can be used. The first: {broken[0].failure.message}"
        )
    sources = [look.source for look in usable]
    yield Found(values={"sources": tuple(sources)})

    def measure_decoding(*, is_fast: bool) -> float:
        return measure_rate(
            lambda n: _decode(sources[n % len(sources)], spec, is_fast=is_fast),
            threads=threads,
            step_s=job.step_s,
        )

    yield Began(step="decoding in full")
    begun, begun_cpu = time.perf_counter(), time.process_time()
    exact_per_s = measure_decoding(is_fast=False)
    cpu_share = (time.process_time() - begun_cpu) / (time.perf_counter() - begun) / threads
    yield Began(step="decoding fast")
    fast_per_s = measure_decoding(is_fast=True)
    yield Began(step="preprocessing")
    images = _hold(sources, spec, is_fast=job.decode == "fast")
    preprocess_per_s = measure_rate(
        lambda n: preprocess(images[n % len(images)], spec), threads=threads, step_s=job.step_s
    )
    yield Found(
        values={
            "count": len(usable),
            "broken": broken,
            "mean_bytes": fmean(look.size_bytes for look in usable),
            "mean_pixels": fmean(look.pixels for look in usable),
            "decode_per_s": fast_per_s if job.decode == "fast" else exact_per_s,
            "fast_decode_gain": fast_per_s / exact_per_s,
            "preprocess_per_s": preprocess_per_s,
            "cpu_share": cpu_share,
        }
    )


def _decode(source: Source, spec: PreprocessSpec, *, is_fast: bool) -> DecodedImage:
    def needed(size: tuple[int, int]) -> tuple[int, int] | None:
        # Images speak of width × height, preprocessing of height × width.
        found = target_size(spec, size[::-1])
        return found and found[::-1]

    return read_image(source, needed=needed if is_fast else None)


def _look_at(image: Source | Failed, spec: PreprocessSpec) -> _Usable | BrokenImage:
    try:
        if isinstance(image, Failed):
            raise image.error
        decoded = _decode(image, spec, is_fast=False)
        preprocess(decoded.rgb, spec)
        size_bytes = _read_size(image)
    except InputError as error:
        failure = Failure(kind=type(error).__name__, message=str(error))
        return BrokenImage(source=image.name, failure=failure)
    width, height = decoded.original_size
    return _Usable(source=image, size_bytes=size_bytes, pixels=width * height)


def _read_size(image: Source) -> int:
    try:
        return os.stat(image.value).st_size  # noqa: PTH116 - pathlib refuses names that the system takes
    except OSError as error:
        raise ImageUnreadable(f"{shorten(image.name)} is gone: {error.strerror}.") from error


def _hold(sources: Sequence[Source], spec: PreprocessSpec, *, is_fast: bool) -> list[Image.Image]:
    """The first images, decoded: as many as fit, one at least."""
    images: list[Image.Image] = []
    held = 0
    for source in sources:
        image = _decode(source, spec, is_fast=is_fast).rgb
        held += 3 * image.width * image.height
        if images and held > _HELD_BYTES:
            break
        images.append(image)
    return images
