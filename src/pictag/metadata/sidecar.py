"""Which sidecar belongs to an image, and the keywords of an image with all its places."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pictag.errors import ImageUnreadable, MetadataError, shorten
from pictag.metadata import xmp
from pictag.metadata.embedded import read_embedded
from pictag.metadata.keywords import FileKeywords, Keyword, combine
from pictag.metadata.xmp import OWNER, WrittenKeywords

SidecarName = Literal["full", "stem"]
"""``full`` is ``a.jpg.xmp`` (darktable, digiKam), ``stem`` is ``a.xmp`` (Adobe)."""

# Programs write a.xmp for these; the metadata of a JPEG of the same name is inside it.
RAW_EXTENSIONS = {
    *(
        "3fr",
        "ari",
        "arw",
        "bay",
        "cr2",
        "cr3",
        "crw",
        "dcr",
        "dng",
        "erf",
        "fff",
        "iiq",
        "k25",
        "kdc",
        "mef",
    ),
    *("mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
}
"""The extensions of camera RAW files, in lower case."""
_NOT_IMAGES = {"xmp", "txt", "json", "csv", "xml", "html", "md"}


def sidecar_path(image: Path, name: SidecarName | None = None) -> Path:
    """The sidecar to write for an image: the one that exists, else the full name.

    With ``name``, the one of this name, existing or not. Raises `MetadataError` if that belongs to another
    file.
    """
    full = _full(image)
    if name == "full" or (name is None and _exists(full)):
        return full
    stem = _stem(image)
    if name == "stem":
        if not _belongs(stem, image):
            raise MetadataError(
                f"{shorten(stem.name)} belongs to another file than {shorten(image)}. "
                f"Use the full name, {shorten(full.name)}."
            )
        return stem
    return stem if _exists(stem) and _belongs(stem, image) else full


def existing_sidecars(image: Path) -> list[Path]:
    """The sidecars that belong to an image: none, one, or one of each name."""
    return [p for p in dict.fromkeys((_full(image), _stem(image))) if _exists(p) and _belongs(p, image)]


def read_keywords(path: str | Path) -> FileKeywords:
    """The keywords of an image, from its sidecars and from inside the file; or of one sidecar.

    Raises `ImageNotFound`, `ImageUnreadable` or `MetadataError`.
    """
    path = Path(path)
    if _extension(path) == "xmp":
        return xmp.read(path)
    return combine([*map(xmp.read, existing_sidecars(path)), read_embedded(path)])


def write_keywords(
    image: str | Path,
    keywords: Sequence[Keyword],
    *,
    owner: str = OWNER,
    sidecar: SidecarName | None = None,
) -> WrittenKeywords:
    """Write an image's keywords into its sidecar, in place of those of an earlier run of this owner.

    ``owner`` is the application that writes, a lower-case word: each one replaces only its own keywords. The
    image itself isn't changed. Raises `MetadataError`, `ImageNotFound`, `ImageUnreadable` or `OutputError`.
    """
    image = Path(image)
    path = sidecar_path(image, sidecar)
    extension = None if path.stem == image.name else _extension(image)
    return xmp.merge(path, keywords, owner=owner, image=image, extension=extension)


def remove_keywords(path: str | Path, *, owner: str | None = None) -> tuple[WrittenKeywords, ...]:
    """Remove what pictag wrote from the sidecars of an image, or from one sidecar.

    If ``owner`` is None, those of all owners are removed.

    Raises `MetadataError`, `ImageUnreadable` or `OutputError`.
    """
    path = Path(path)
    sidecars = [path] if _extension(path) == "xmp" else existing_sidecars(path)
    return tuple(xmp.remove(sidecar, owner=owner) for sidecar in sidecars)


def _full(image: Path) -> Path:
    return _existing_case(image.with_name(image.name + ".xmp"))


def _stem(image: Path) -> Path:
    return _existing_case(image.with_name(image.stem + ".xmp"))


def _existing_case(path: Path) -> Path:
    upper = path.with_suffix(".XMP")
    return upper if not _exists(path) and _exists(upper) else path


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises for a name that is too long for the system


def _extension(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()


def _belongs(sidecar: Path, image: Path) -> bool:
    """Whether a sidecar describes this image, or would if it existed."""
    if sidecar == _full(image):
        return True
    packet = xmp.read_packet(sidecar)
    if packet is not None and packet.extension is not None:
        return packet.extension.lower() == _extension(image)
    if sidecar.with_suffix("").is_file():  # a.jpg.xmp, for an image a.jpg.png
        return False
    images = [name for name in _same_stem(image) if _extension(Path(name)) not in _NOT_IMAGES]
    raw = [name for name in images if _extension(Path(name)) in RAW_EXTENSIONS]
    return (raw or images) == [image.name]


def _same_stem(image: Path) -> list[str]:
    """The files of the folder that differ from the image's name in the extension at most."""
    try:
        names = [path.name for path in image.parent.iterdir()]
    except OSError as error:
        raise ImageUnreadable(f"Cannot read the folder {shorten(image.parent)}: {error.strerror}.") from error
    return [name for name in names if name.startswith(image.stem) and Path(name).stem == image.stem]
