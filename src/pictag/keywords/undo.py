"""Find and remove the keywords that pictag wrote into sidecars and images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pictag.errors import ImageNotFound, PictagError, shorten
from pictag.images import Source, expand
from pictag.metadata import read_keywords, remove_keywords

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SIDECAR = ".xmp"


def find_written(
    names: Sequence[str], *, recursive: bool = False
) -> Iterator[tuple[Path, PictagError | None]]:
    """The sidecars and images with keywords of pictag, or the reason why one can't be read.

    A name is a folder, an image or a sidecar; with ``recursive`` subfolders are included.
    """
    for path in dict.fromkeys(_list_files(names, recursive=recursive)):
        try:
            if _has_ours(path):
                yield path, None
        except PictagError as error:
            yield path, error


def remove_from(path: Path) -> PictagError | None:
    """Remove pictag's keywords from a sidecar or an image; returns the reason if that fails."""
    try:
        if path.suffix.lower() == _SIDECAR:
            remove_keywords(path)
        else:
            from pictag.metadata import remove_embedded

            remove_embedded(path)
    except PictagError as error:
        return error
    return None


def _list_files(names: Sequence[str], *, recursive: bool) -> Iterator[Path]:
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = path.rglob("*") if recursive else path.iterdir()
            yield from sorted(p for p in found if p.suffix.lower() == _SIDECAR and p.is_file())
            yield from _list_images(name, recursive=recursive)
        elif path.is_file():
            yield path
            beside = (path.with_name(path.name + _SIDECAR), path.with_suffix(_SIDECAR))
            yield from (p for p in beside if p.is_file() and p != path)
        else:
            raise ImageNotFound(f"{shorten(name)} doesn't exist. Give a folder, an image or a sidecar.")


def _list_images(folder: str, *, recursive: bool) -> Iterator[Path]:
    for source in expand([folder], recursive=recursive):
        if isinstance(source, Source) and source.kind == "file":
            yield Path(source.name)


def _has_ours(path: Path) -> bool:
    if path.suffix.lower() == _SIDECAR:
        return bool(read_keywords(path).ours)
    from pictag.metadata.embedded import read_embedded

    return bool(read_embedded(path).ours)
