"""Images for calibrating and checking: prepared exactly as the pipeline does, kept on disk, and split."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from pictag.engines.base import to_layout
from pictag.engines.cores import count_cores
from pictag.errors import OptionError, PictagError, shorten
from pictag.images import Failed, Source, read_image
from pictag.images.folder import choose_images
from pictag.preprocess.run import preprocess
from pictag.quantization.records import OnProgress, Progress, Skipped

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.models.load import Model
    from pictag.options import Layout

MIN_IMAGES = 4
_HOLD_OUT_EVERY = 4


class Samples(Sequence["NDArray[np.float32]"]):
    """Pixel values [1, C, H, W] of images, one file per image: loaded when indexed, never all at once."""

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
        """The same images in the layout that a graph takes."""
        return Samples(self._paths, layout=layout)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSet:
    """The images to calibrate with, the images to check with, and those that were skipped."""

    calibration: Samples
    check: Samples
    held_out: bool
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationOptions:
    """Where the images are (folders or globs), and the maximum number for each purpose."""

    calibrate: Path
    check: Path | None
    recursive: bool
    most: int


def gather_calibration_set(
    model: Model, options: CalibrationOptions, folder: Path, on_progress: OnProgress
) -> CalibrationSet:
    """Read, prepare and split the images, skipping those that fail.

    Without a folder to check with, every fourth image is held out of the calibration. Raises
    `OptionError` if too few images are usable, and `InputError` if a folder doesn't exist.
    """
    skipped: list[Skipped] = []

    def prepare(place: Path, most: int, name: str) -> list[Path]:
        entries = choose_images(place, count=most, recursive=options.recursive)
        return _prepare(model, entries, folder / name, skipped, on_progress)

    held_out = options.check is None
    found = prepare(options.calibrate, 2 * options.most if held_out else options.most, "calibrate")
    if len(found) < MIN_IMAGES:
        raise OptionError(
            f"{shorten(options.calibrate)} has too few usable images ({len(found)}): calibration needs at "
            f"least {MIN_IMAGES}. Use a hundred or more that resemble the images you will classify."
        )
    if options.check is None:
        check = found[_HOLD_OUT_EVERY - 1 :: _HOLD_OUT_EVERY]
        del found[_HOLD_OUT_EVERY - 1 :: _HOLD_OUT_EVERY]
    else:
        check = prepare(options.check, options.most, "check")
        if not check:
            raise OptionError(f"{shorten(options.check)} has no usable images to check with.")
    return CalibrationSet(
        calibration=Samples(found[: options.most]),
        check=Samples(check[: options.most]),
        held_out=held_out,
        skipped=tuple(skipped),
    )


def _prepare(
    model: Model,
    entries: Sequence[Source | Failed],
    folder: Path,
    skipped: list[Skipped],
    on_progress: OnProgress,
) -> list[Path]:
    folder.mkdir()

    def prepare(number: int, entry: Source | Failed) -> Path | Skipped:
        path = folder / f"{number:06}.npy"
        try:
            if isinstance(entry, Failed):
                raise entry.error
            np.save(path, preprocess(read_image(entry).rgb, model.spec)[None])
        except PictagError as error:
            return Skipped(source=entry.name, reason=str(error))
        return path

    made = []
    with ThreadPoolExecutor(count_cores()) as pool:
        try:
            for number, result in enumerate(pool.map(prepare, itertools.count(), entries), start=1):
                on_progress(Progress(step="Reading images", done=number, total=len(entries)))
                if isinstance(result, Skipped):
                    skipped.append(result)
                else:
                    made.append(result)
        except BaseException:  # interrupted: drop the images still in the queue
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return made
