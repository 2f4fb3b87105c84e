"""Keywords in XMP sidecars and inside image files: read, merge, replace pictag's own, remove them.

Titles and descriptions are read only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.metadata.captions import Caption, read_caption
from pictag.metadata.keywords import FileKeywords, Keyword
from pictag.metadata.sidecar import read_keywords, remove_keywords, sidecar_path, write_keywords
from pictag.metadata.xmp import WrittenKeywords

if TYPE_CHECKING:
    from pictag.metadata.exiftool import embed_keywords, remove_embedded

__all__ = [
    "Caption",
    "FileKeywords",
    "Keyword",
    "WrittenKeywords",
    "embed_keywords",
    "read_caption",
    "read_keywords",
    "remove_embedded",
    "remove_keywords",
    "sidecar_path",
    "write_keywords",
]


def __getattr__(name: str) -> object:
    # Only these two run ExifTool, and its module imports subprocess, so it loads on first use.
    if name in ("embed_keywords", "remove_embedded"):
        from pictag.metadata import exiftool

        return getattr(exiftool, name)
    raise AttributeError(f"module 'pictag.metadata' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
