"""Folders and globs → their images, in order, one at a time.

The standard library's ``glob`` isn't used: its ``**`` follows circular links, and its order is arbitrary.
"""

# Names stay exactly as given; pathlib drops "./" and refuses names that the system accepts.
# ruff: noqa: PTH112, PTH114, PTH116, PTH118, PTH122

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.errors import ImageNotFound, ImageUnreadable, InputError, shorten
from pictag.images.sniff import image_extensions
from pictag.images.source import Source, make_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_MAGIC = re.compile(r"[*?\[]")
_DIGITS = re.compile(r"(\d+)")
_SEPARATORS = re.compile(r"[/\\]" if os.sep == "\\" else "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An input without a usable image: its name, and the reason."""

    name: str
    error: InputError


def expand(values: Iterable[object], *, recursive: bool = False) -> Iterator[Source | Failed]:
    """The sources of all ``values``, lazily: a folder or glob gives its images in order.

    A folder's images are the files with the extension of a supported format, except hidden files.
    ``recursive`` includes subfolders, each once even if links lead to it again. Within a folder, files come
    before subfolders, sorted by name with numbers by value (``2.png`` before ``10.png``). A string with
    ``*``, ``?`` or ``[`` is a glob unless a file has that name; ``**`` matches any folders. An input that
    can't be found, read or understood gives a `Failed`, and the others continue.

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


def choose_images(place: Path, *, count: int, recursive: bool) -> list[Source | Failed]:
    """At most ``count`` images of a folder or glob, spread evenly. Raises `InputError` if it has none."""
    found = list(expand([place], recursive=recursive))
    if len(found) == 1 and isinstance(found[0], Failed):
        raise found[0].error
    if len(found) == 1 and not os.path.lexists(found[0].name):
        raise ImageNotFound(
            f"{shorten(place)} doesn't exist. Give a folder or a pattern of images.", filename=place
        )
    return [found[index * len(found) // count] for index in range(count)] if len(found) > count else found


def _expand_file(source: Source, *, recursive: bool) -> Iterator[Source | Failed]:
    path: str = source.value
    if os.path.isdir(path):
        entries = _list_folder(path, recursive=recursive)
        missing = "the folder contains no images." + " Use --recursive to include its subfolders." * (
            not recursive
        )
    elif _MAGIC.search(path) and not os.path.lexists(path):
        entries = _list_glob(path, recursive=recursive)
        missing = "no file matches this pattern."
    else:
        yield source
        return
    first = next(entries, None)
    yield first or Failed(name=source.name, error=ImageNotFound(f"{shorten(source.name)}: {missing}"))
    yield from entries


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts names with numbers by value.

    >>> sorted(["10.png", "2.png"], key=natural_key)
    ['2.png', '10.png']
    """
    parts: list[str | int] = list(_DIGITS.split(name.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, name


def is_image(name: str) -> bool:
    """Whether a name has the extension of a supported format."""
    return os.path.splitext(name)[1].lower() in image_extensions()


def _scan(folder: str) -> tuple[list[str], list[str]]:
    """The names of a folder's files and of its subfolders, each in natural order. Raises ``OSError``."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder or os.curdir) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:  # a circular link; reported when it is read
                is_folder = False
            (folders if is_folder else files).append(entry.name)
    return sorted(files, key=natural_key), sorted(folders, key=natural_key)


def _source(path: str) -> Source:
    return Source(name=path, kind="file", value=path)


def _list_folder(folder: str, *, recursive: bool) -> Iterator[Source | Failed]:
    # A stack, not recursion (nor os.walk of Python 3.11): folders may be nested deeper than Python's calls.
    waiting = [folder]
    seen = set()  # links may lead back to a folder that was already read
    while waiting:
        here = waiting.pop()
        try:
            status = os.stat(here)
            files, folders = _scan(here)
        except OSError as error:
            message = f"{shorten(here)}: the folder could not be read: {error.strerror or error}."
            yield Failed(name=here, error=ImageUnreadable(message))
            continue
        if status.st_ino and (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in files:
            if not name.startswith(".") and is_image(name):
                yield _source(os.path.join(here, name))
        if recursive:
            visible = (name for name in reversed(folders) if not name.startswith("."))
            waiting.extend(os.path.join(here, name) for name in visible)


def _list_glob(pattern: str, *, recursive: bool) -> Iterator[Source | Failed]:
    """The images in matching folders, and the matching files.

    If the pattern's last part has no extension (``photos/*``), only files with the extension of an image
    match; otherwise (``photos/*.dat``) all do.
    """
    parts = _SEPARATORS.split(pattern)
    start = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    base = "".join(f"{part}{os.sep}" for part in parts[:start])
    has_extension = "." in parts[-1].strip(".")
    for path, is_folder in _walk_glob(base, [part for part in parts[start:] if part]):
        if is_folder:
            yield from _list_folder(path, recursive=recursive or parts[-1] == "**")
        elif has_extension or is_image(path):
            yield _source(path)


def _walk_glob(base: str, parts: list[str]) -> Iterator[tuple[str, bool]]:
    """Matching paths below ``base`` (empty, or ending with a separator), and whether each is a folder.

    As in a shell, a folder that can't be read matches nothing.
    """
    part, rest = parts[0], parts[1:]
    if part == "**":
        if not rest:
            yield base or os.curdir, True
            return
        for folder in _walk_folders(base):
            yield from _walk_glob(folder, rest)
        return
    try:
        files, folders = _scan(base)
    except OSError:
        return
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
    """``base`` and all visible folders below it, each ending with a separator, without following links."""
    waiting = [base]
    while waiting:
        here = waiting.pop()
        yield here
        try:
            folders = _scan(here)[1]
        except OSError:
            continue
        visible = (here + name for name in reversed(folders) if not name.startswith("."))
        waiting.extend(path + os.sep for path in visible if not os.path.islink(path))
