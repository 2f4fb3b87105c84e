"""Digests of files, in the two forms that the Hub states: sha256 for large, git's sha1 for small ones."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")
_CHUNK_BYTES = 1 << 20


def is_digest(text: object) -> bool:
    """Whether a text is a sha256 or a git blob's sha1.

    >>> is_digest("a" * 64), is_digest("../a")
    (True, False)
    """
    return isinstance(text, str) and bool(_SHA256.fullmatch(text) or _GIT_SHA1.fullmatch(text))


def is_sha256(digest: str) -> bool:
    """Whether a digest is a sha256 and not git's sha1."""
    return _SHA256.fullmatch(digest) is not None


def measure_digest(path: Path, *, like: str) -> str:
    """The file's digest in the form of ``like``: sha256, or git's sha1 (of a head and the bytes)."""
    if is_sha256(like):
        measure = hashlib.sha256()
    else:
        measure = hashlib.sha1(usedforsecurity=False)
        measure.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            measure.update(chunk)
    return measure.hexdigest()
