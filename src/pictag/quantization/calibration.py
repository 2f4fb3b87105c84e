"""The images of a quantisation: prepared exactly as the pipeline does, kept on disk, and split."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from pictag.engines.base import to_layout
from pictag.engines.cores import count_cores
from pictag.errors import ImageNotFound, InputError, OptionError, PictagError, shorten
from pictag.images import Failed, FetchLimits, ImageLimits, Source, expand, read_image
from pictag.images.source import exists
from pictag.preprocess.run import preprocess
from pictag.quantization.records import OnProgress, Progress, Skipped

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.engines.base import Layout
    from pictag.models.load import Model

FEWEST = 4
_EVERY = 4  # one in so many images is held back


class Samples(Sequence["NDArray[np.float32]"]):
    """Pixel values [1, C, H, W] of images, each in a file, so that hundreds take no memory."""

    def __init__(self, paths: Sequence[Path], *, layout: Layout = "NCHW") -> None:
        self._paths = tuple(paths)
        self._layout = layout

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.float32] | Samples:
        if isinstance(index, slice):
            return Samples(self._paths[index], layout=self._layout)
        return to_layout(np.load(self._paths[index]), layout=self._layout, dtype=np.dtype(np.float32))

    def in_layout(self, layout: Layout) -> Samples:
        """The same images in the order of axes that a graph takes."""
        return Samples(self._paths, layout=layout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Images to calibrate with, others to check with, and those that could not be used."""

    calibration: Samples
    check: Samples
    held_back: bool
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationOptions:
    """Which images: folders or globs, and how many at most of each kind."""

    calibrate: Path
    check: Path | None
    recursive: bool
    most: int


def gather_calibration(
    model: Model, wish: CalibrationOptions, folder: Path, on_progress: OnProgress
) -> Material:
    """Read, prepare and split the images; those that fail are left out.

    Where there is no folder to check with, every fourth image is held back from the calibration. Raises
    `OptionError` where too few are left, and an `InputError` for a folder that is not there.
    """
    skipped: list[Skipped] = []

    def prepare(place: Path, most: int, name: str) -> list[Path]:
        sources = _choose(place, recursive=wish.recursive, most=most, skipped=skipped)
        return _prepare(model, sources, folder / name, skipped, on_progress)

    held_back = wish.check is None
    found = prepare(wish.calibrate, 2 * wish.most if held_back else wish.most, "calibrate")
    if len(found) < FEWEST:
        raise OptionError(
            f"{shorten(wish.calibrate)} has {len(found)} usable images; calibrating takes at least "
            f"{FEWEST}, and a hundred or more that look like those to be classified are better."
        )
    if wish.check is None:
        check = found[_EVERY - 1 :: _EVERY]
        found = [path for number, path in enumerate(found) if number % _EVERY != _EVERY - 1]
    else:
        check = prepare(wish.check, wish.most, "check")
        if not check:
            raise OptionError(f"{shorten(wish.check)} has no usable image to check with.")
    return Material(
        calibration=Samples(found[: wish.most]),
        check=Samples(check[: wish.most]),
        held_back=held_back,
        skipped=tuple(skipped),
    )


def _choose(place: Path, *, recursive: bool, most: int, skipped: list[Skipped]) -> list[Source]:
    """At most so many of a folder's images, spread evenly over it."""
    sources = []
    entries = list(expand([place], recursive=recursive))
    for entry in entries:
        if isinstance(entry, Source):
            sources.append(entry)
        elif len(entries) == 1:
            raise entry.error
        else:
            skipped.append(_explain(entry))
    if len(sources) == 1 and not exists(sources[0].name):
        raise ImageNotFound(f"{shorten(place)}: there is no such folder.")
    if len(sources) <= most:
        return sources
    return [sources[number * len(sources) // most] for number in range(most)]


def _prepare(
    model: Model, sources: list[Source], folder: Path, skipped: list[Skipped], on_progress: OnProgress
) -> list[Path]:
    folder.mkdir()

    def prepare(numbered: tuple[int, Source]) -> Path | Failed:
        number, source = numbered
        path = folder / f"{number:06}.npy"
        try:
            image = read_image(source, limits=ImageLimits(), fetch=FetchLimits())
            values = preprocess(image.rgb, model.spec)
        except InputError as error:
            return Failed(name=source.name, error=error)
        except PictagError as error:
            return Failed(name=source.name, error=InputError(str(error)))
        np.save(path, values[None])
        return path

    made = []
    with ThreadPoolExecutor(count_cores()) as pool:
        try:
            for number, result in enumerate(pool.map(prepare, enumerate(sources)), start=1):
                on_progress(Progress(step="Reading images", done=number, total=len(sources)))
                if isinstance(result, Failed):
                    skipped.append(_explain(result))
                else:
                    made.append(result)
        except BaseException:  # interrupted: what waits in the queue is not wanted any more
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return made


def _explain(failed: Failed) -> Skipped:
    return Skipped(source=failed.name, reason=str(failed.error))
