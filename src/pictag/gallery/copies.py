"""The files of each image in a library, and which of several files to keep."""

# Names stay exactly as the system has them.
# ruff: noqa: PTH116, PTH119

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pictag.errors import OptionError, PictagWarning, shorten
from pictag.gallery.folders import name_folder, path_range
from pictag.gallery.store import to_unsigned

if TYPE_CHECKING:
    import sqlite3

LOSSLESS: Final = frozenset(("raw", "png", "tiff", "bmp", "gif"))
"""File types that are preferred to a JPEG of the same size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One file of a content."""

    path: bytes
    pixels: int  # how many
    type: str
    size: int
    time: tuple[str, int]  # when it was taken, when the file was changed
    sha256: bytes | None

    @property
    def name(self) -> bytes:
        """The file's name."""
        return os.path.basename(self.path)

    def rank(self) -> tuple[Any, ...]:
        """Sorts the file to keep first; one part for each reason of `_REASONS`."""
        return -self.pixels, self.type not in LOSSLESS, -self.size, self.time, len(self.name), self.path


_REASONS: Final = (
    "it has the most pixels",
    "it is lossless",
    "it is the largest file",
    "it is the oldest",
    "it has the shortest name",
    "its path comes first",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """One content, with its files, the one to keep first."""

    pixels: bytes
    hash: int | None
    mirrored_hash: int | None
    copies: list[Copy]


def explain_choice(copies: list[Copy]) -> str:
    """Why the first of several sorted files is the one to keep."""
    first, second, *_ = copies
    decisive = next(
        reason
        for reason, best, next_ in zip(_REASONS, first.rank(), second.rank(), strict=True)
        if best != next_
    )
    return f"{decisive} ({first.pixels / 1e6:.1f} megapixels)" if decisive == _REASONS[0] else decisive


def describe_copies(copies: list[Copy]) -> str:
    """Whether files with the same pixels are identical, as text."""
    is_identical = copies[0].sha256 is not None and len({copy.sha256 for copy in copies}) == 1
    return "the files are identical" if is_identical else "the pixels are the same, the files differ"


def read_images(
    connection: sqlite3.Connection, folders: list[bytes], *, only_present: bool
) -> dict[int, StoredImage]:
    """The contents that have a file in the folders, by id.

    ``only_present`` leaves out files that aren't there now or have changed since they were indexed, with a
    warning, and all names but one of a file that links give several.
    """
    images: dict[int, StoredImage] = {}
    absent = 0
    names: dict[tuple[int, int], list[bytes]] = {}
    for content_id, pixels, hash_, mirrored, *file in connection.execute(
        "SELECT contents.id, pixels, hash, mirrored_hash, path, width * height, type, size, "
        "coalesce(taken, '9'), mtime_ns, sha256 FROM contents JOIN files ON content_id = contents.id "
        "WHERE NOT is_missing ORDER BY contents.id"
    ):
        path, area, type_, size, taken, mtime_ns, sha256 = file
        if folders and not any(path.startswith(folder) for folder in folders):
            continue
        if only_present:
            place = _find_unchanged(path, size, mtime_ns)
            if place is None:
                absent += 1
                continue
            names.setdefault(place, []).append(path)
        if content_id not in images:
            images[content_id] = StoredImage(
                pixels=pixels, hash=to_unsigned(hash_), mirrored_hash=to_unsigned(mirrored), copies=[]
            )
        images[content_id].copies.append(
            Copy(path=path, pixels=area, type=type_, size=size, time=(taken, mtime_ns), sha256=sha256)
        )
    # A file system without numbers for files says 0.
    links = {path for (_, number), paths in names.items() if number for path in _list_links(paths)}
    for image in images.values():
        image.copies[:] = sorted((copy for copy in image.copies if copy.path not in links), key=Copy.rank)
    if absent:
        files = "1 file is" if absent == 1 else f"{absent:,} files are"
        warnings.warn(
            f"{files} left out: not there now, or changed since the last pictag index.",
            PictagWarning,
            stacklevel=2,
        )
    return {content_id: image for content_id, image in images.items() if image.copies}


def _find_unchanged(path: bytes, size: int, mtime_ns: int) -> tuple[int, int] | None:
    """The device and number of a file that is there as it was indexed."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    is_same = (status.st_size, status.st_mtime_ns) == (size, mtime_ns)
    return (status.st_dev, status.st_ino) if is_same else None


def _list_links(paths: list[bytes]) -> list[bytes]:
    """All names of one file but the one that isn't a link; moving that file away would break the links."""
    if len(paths) == 1:  # nearly always
        return []
    return sorted(paths, key=lambda path: (os.path.realpath(path) != path, path))[1:]


def read_folder(connection: sqlite3.Connection, folder: str | os.PathLike[str]) -> bytes:
    """The beginning of the paths of the files in a folder. Raises `OptionError`."""
    first, end = path_range(os.fsencode(name_folder(folder)))
    row = connection.execute(
        "SELECT 1 FROM files WHERE path >= ? AND path < ? AND NOT is_missing", (first, end)
    ).fetchone()
    if row is None:
        raise OptionError(
            f"The library has no images in {shorten(folder)}. Index it: pictag index {shorten(folder)}"
        )
    return first
