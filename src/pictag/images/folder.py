"""Folders and globs → their images, in order, one at a time."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.errors import ImageNotFound, ImageUnreadable, InputError, shorten
from pictag.images.sniff import image_extensions
from pictag.images.source import Source, exists, make_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAGIC = re.compile(r"[*?\[]")
_DIGITS = re.compile(r"(\d+)")
_SEPARATORS = re.compile(r"[/\\]" if os.sep == "\\" else "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Something that was given and led to no image: its name and why."""

    name: str
    error: InputError


def expand(values: Iterable[object], *, recursive: bool = False) -> Iterator[Source | Failed]:
    """The sources of all ``values``, lazily: folders and globs give their images in order.

    A folder's images are the files whose extension is that of a format that is opened; hidden files are
    left out. ``recursive`` goes into subfolders too, each once, however links lead there. Within a folder
    the order is that of names, with numbers by their value (``2.png`` before ``10.png``), files first.
    A text with ``*``, ``?`` or ``[`` is a glob where no file has that very name; ``**`` stands for any
    folders. What cannot be found, read or understood is a `Failed`, and the rest goes on.

    >>> [entry.name for entry in expand(["tiger.jpg", "https://example.org/cat.jpg"])]
    ['tiger.jpg', 'https://example.org/cat.jpg']
    """
    for value in values:
        if isinstance(value, (Source, Failed)):
            yield value
            continue
        try:
            source = make_source(value)
        except InputError as error:
            name = value if isinstance(value, str) else f"<{type(value).__name__}>"
            yield Failed(name=name, error=error)
            continue
        if source.kind == "file":
            yield from _expand_file(source, recursive=recursive)
        else:
            yield source


def _expand_file(source: Source, *, recursive: bool) -> Iterator[Source | Failed]:
    path: str = source.value
    if _is_folder(path):
        entries = _list_folder(path, recursive=recursive, seen=set())
        missing = f"{shorten(source.name)}: the folder holds no images"
        missing += "." if recursive else "; its subfolders are read with the option recursive."
    elif _MAGIC.search(path) and not exists(path):
        entries = _list_glob(path, recursive=recursive)
        missing = f"{shorten(source.name)}: nothing matches."
    else:
        yield source
        return
    found = False
    for entry in entries:
        found = True
        yield entry
    if not found:
        yield Failed(name=source.name, error=ImageNotFound(missing))


def _is_folder(path: str) -> bool:
    try:
        return os.path.isdir(path)  # noqa: PTH112 - as all in this module: names stay as given
    except ValueError:
        return False


def _natural_key(name: str) -> tuple[list[str | int], str]:
    parts: list[str | int] = list(_DIGITS.split(name.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, name


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image_extensions()  # noqa: PTH122 - names stay as given


def _scan(folder: str) -> tuple[list[str], list[str]]:
    """The names of a folder's files and of its subfolders, each in natural order. Raises ``OSError``."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder or os.curdir) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads round in circles: reading it will say so
                is_folder = False
            (folders if is_folder else files).append(entry.name)
    files.sort(key=_natural_key)
    folders.sort(key=_natural_key)
    return files, folders


def _scan_or_fail(folder: str) -> tuple[list[str], list[str]] | Failed:
    try:
        return _scan(folder)
    except OSError as error:
        message = f"{shorten(folder)}: the folder could not be read: {error.strerror or error}."
        return Failed(name=folder, error=ImageUnreadable(message))


def _source(path: str) -> Source:
    return Source(name=path, kind="file", value=path)


def _list_folder(folder: str, *, recursive: bool, seen: set[tuple[int, int]]) -> Iterator[Source | Failed]:
    # A stack, not recursion: folders may be nested deeper than Python's calls.
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            status = os.stat(here)  # noqa: PTH116 - names stay as given
        except OSError:
            status = None
        # Links may lead back to a folder that was already read.
        if status is not None and status.st_ino:
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
        scanned = _scan_or_fail(here)
        if isinstance(scanned, Failed):
            yield scanned
            continue
        files, folders = scanned
        for name in files:
            if not name.startswith(".") and _is_image(name):
                yield _source(os.path.join(here, name))  # noqa: PTH118 - names stay as given
        if recursive:
            visible = (name for name in reversed(folders) if not name.startswith("."))
            waiting.extend(os.path.join(here, name) for name in visible)  # noqa: PTH118 - names stay as given


def _list_glob(pattern: str, *, recursive: bool) -> Iterator[Source | Failed]:
    """What matches: folders give their images, files are taken.

    Where the pattern's last part names no extension (``photos/*``), files that are no images by their
    extension are left out; with one (``photos/*.dat``) all that match are taken.
    """
    start = next(i for i, part in enumerate(_SEPARATORS.split(pattern)) if _MAGIC.search(part))
    parts = _SEPARATORS.split(pattern)
    base = "".join(f"{part}{os.sep}" for part in parts[:start])
    named = "." in parts[-1].strip(".")
    for path, is_folder in _walk_glob(base, [part for part in parts[start:] if part]):
        if is_folder:
            yield from _list_folder(path, recursive=recursive or parts[-1] == "**", seen=set())
        elif named or _is_image(path):
            yield _source(path)


def _walk_glob(base: str, parts: list[str]) -> Iterator[tuple[str, bool]]:
    """Paths below ``base`` (empty, or with a separator at its end) that match, and whether each is a folder.

    A folder that cannot be read matches nothing here, as in a shell.
    """
    part, rest = parts[0], parts[1:]
    if part == "**" and not rest:
        yield base or os.curdir, True
        return
    if part == "**":
        for folder in _walk_folders(base):
            yield from _walk_glob(folder, rest)
        return
    scanned = _scan_or_fail(base)
    if isinstance(scanned, Failed):
        return
    files, folders = scanned
    matches = re.compile(fnmatch.translate(os.path.normcase(part))).match
    for names, is_folder in ((files, False), (folders, True)):
        for name in names:
            if not matches(os.path.normcase(name)) or (name.startswith(".") and not part.startswith(".")):
                continue
            if not rest:
                yield base + name, is_folder
            elif is_folder:
                yield from _walk_glob(f"{base}{name}{os.sep}", rest)


def _walk_folders(base: str) -> Iterator[str]:
    """``base`` and all visible folders below it, each with a separator at its end.

    Links are not followed: two of them could be followed round and round.
    """
    waiting = [base]
    while waiting:
        here = waiting.pop()
        yield here
        scanned = _scan_or_fail(here)
        if not isinstance(scanned, Failed):
            visible = (here + name for name in reversed(scanned[1]) if not name.startswith("."))
            waiting.extend(path + os.sep for path in visible if not os.path.islink(path))  # noqa: PTH114 - names stay as given
