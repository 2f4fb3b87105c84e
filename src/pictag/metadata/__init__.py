"""Keywords in XMP sidecars and inside image files: read, merge, replace pictag's own, remove them."""

from pictag.metadata.exiftool import embed_keywords, remove_embedded
from pictag.metadata.keywords import FileKeywords, Keyword
from pictag.metadata.sidecar import read_keywords, remove_keywords, sidecar_path, write_keywords
from pictag.metadata.xmp import WrittenKeywords

__all__ = [
    "FileKeywords",
    "Keyword",
    "WrittenKeywords",
    "embed_keywords",
    "read_keywords",
    "remove_embedded",
    "remove_keywords",
    "sidecar_path",
    "write_keywords",
]
