"""The photographs in folders: names, sizes and times, without opening the files."""

# Names stay exactly as the system has them; pathlib would normalise them.
# ruff: noqa: PTH122

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pictag.errors import ImageUnreadable, shorten
from pictag.images import Failed
from pictag.images.folder import is_image, natural_key
from pictag.metadata.sidecar import RAW_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SKIPPED = frozenset({"@eaDir", "node_modules"})  # Synology's thumbnails; packages of JavaScript
_SIDECAR = ".xmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """An image in an indexed folder; ``sidecars`` changes when one of its XMP sidecars does."""

    name: str
    root: str
    size: int
    mtime_ns: int
    sidecars: str = ""

    @property
    def path(self) -> bytes:
        """The path as bytes, as a library has it."""
        return os.fsencode(self.name)


@dataclass(slots=True)
class ScanNotes:
    """What a scan found apart from the images.

    ``unreadable`` are folders and files that exist but can't be read now, ``mounts`` folders on which another
    disk is mounted, and ``empty_roots`` roots without any image. ``unreadable_folders`` is the number of
    folders among the unreadable ones, and ``raw_count`` that of camera RAW files without a JPEG beside them.
    """

    unreadable: set[str] = field(default_factory=set)
    mounts: set[str] = field(default_factory=set)
    empty_roots: set[str] = field(default_factory=set)
    unreadable_folders: int = 0
    raw_count: int = 0


def scan(root: str, notes: ScanNotes, *, exclude: Sequence[str] = ()) -> Iterator[ListedFile | Failed]:
    """The images in a folder and its subfolders, in natural order; what can't be read is a `Failed`.

    Hidden files and folders, ``@eaDir`` and ``node_modules`` are skipped, and what matches a pattern of
    ``exclude``, by its name or by its path below the root. A folder is read once, even if links lead to it
    again.
    """
    waiting: list[tuple[str, int | None]] = [(root, None)]  # a stack: folders may be nested deeply
    seen: set[tuple[int, int]] = set()
    is_empty = True
    while waiting:
        here, parent_device = waiting.pop()
        try:
            status = os.stat(here)  # noqa: PTH116
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: natural_key(entry.name))
        except OSError as error:
            notes.unreadable.add(here)
            notes.unreadable_folders += 1
            message = f"{shorten(here)}: the folder could not be read: {error.strerror or error}."
            yield Failed(name=here, error=ImageUnreadable(message, errno=error.errno, filename=here))
            continue
        if status.st_ino and (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        if parent_device not in (None, status.st_dev):
            notes.mounts.add(here)
        wanted = [entry for entry in entries if not _is_skipped(entry.path, root, exclude)]
        for found in _list_images(wanted, root, notes):
            is_empty = False
            yield found
        folders = (entry.path for entry in reversed(wanted) if _is_folder(entry))
        waiting.extend((path, status.st_dev) for path in folders)
    if is_empty and root not in notes.unreadable:
        notes.empty_roots.add(root)


def _is_skipped(path: str, root: str, exclude: Sequence[str]) -> bool:
    name = os.path.basename(path)  # noqa: PTH119
    if name.startswith(".") or name in _SKIPPED:
        return True
    below = os.path.relpath(path, root).replace(os.sep, "/") if exclude else ""
    return any(fnmatch.fnmatch(text, pattern.rstrip("/")) for pattern in exclude for text in (name, below))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False


def _list_images(
    entries: Sequence[os.DirEntry[str]], root: str, notes: ScanNotes
) -> Iterator[ListedFile | Failed]:
    images = [entry for entry in entries if is_image(entry.name) and not _is_folder(entry)]
    stems = {os.path.splitext(entry.name)[0] for entry in images}
    for entry in entries:
        stem, extension = os.path.splitext(entry.name)
        notes.raw_count += extension[1:].lower() in RAW_EXTENSIONS and stem not in stems
    sidecars = {entry.name.lower(): entry for entry in entries if entry.name.lower().endswith(_SIDECAR)}
    for entry in images:
        try:
            status = entry.stat()
        except OSError as error:
            notes.unreadable.add(entry.path)
            message = f"{shorten(entry.path)} could not be read: {error.strerror or error}."
            yield Failed(name=entry.path, error=ImageUnreadable(message, filename=entry.path))
            continue
        yield ListedFile(
            name=entry.path,
            root=root,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            sidecars=_describe_sidecars(entry.name, sidecars) if sidecars else "",
        )


def _describe_sidecars(name: str, sidecars: dict[str, os.DirEntry[str]]) -> str:
    names = (name.lower() + _SIDECAR, os.path.splitext(name)[0].lower() + _SIDECAR)
    parts = []
    for entry in filter(None, map(sidecars.get, names)):
        try:
            status = entry.stat()
        except OSError:
            parts.append("unreadable")
        else:
            parts.append(f"{status.st_size}:{status.st_mtime_ns}")
    return " ".join(parts)
