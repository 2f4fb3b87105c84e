"""The sha256 of weights: checked before a file is opened for the first time, and remembered.

The Hub states the sha256 of every large file. A file that has it gets a marker, ``.pictag/<sha256>`` in the
model's folder of the cache, which holds the file's size and modification time. While both stay the same, the
file isn't hashed again. A file with other bytes is deleted, so that nothing can open it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

STATE_FOLDER = ".pictag"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(text: object) -> TypeGuard[str]:
    """Whether a value is a sha256 in hexadecimal digits.

    >>> is_sha256("a" * 64), is_sha256("../a")
    (True, False)
    """
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def measure_sha256(path: Path) -> str:
    """The sha256 of a file's bytes."""
    from hashlib import file_digest  # takes 5 ms to import, and only downloads need it

    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def read_card_checksums(card: Mapping[str, Any]) -> dict[str, str]:
    """The sha256 that a ``card.json`` states for each file, by path."""
    files = card.get("files")
    if not isinstance(files, Mapping):
        return {}
    found = ((path, fact.get("sha256")) for path, fact in files.items() if isinstance(fact, Mapping))
    return {path: sha256 for path, sha256 in found if is_sha256(sha256)}


def is_intact(repository: Path, file: Path, sha256: str) -> bool:
    """Whether a cached file has this sha256; otherwise the file is deleted.

    In a cache that can't be written to, nothing is remembered, and the file is hashed at every start.
    """
    status = file.stat()
    state = f"{status.st_size} {status.st_mtime_ns}"
    marker = repository / STATE_FOLDER / sha256
    with contextlib.suppress(OSError, ValueError):
        if marker.read_text(encoding="ascii") == state:
            return True
    if measure_sha256(file) != sha256:
        delete_cached_file(file)
        return False
    with contextlib.suppress(OSError):
        marker.parent.mkdir(exist_ok=True)
        marker.write_text(state, encoding="ascii")
    return True


def delete_cached_file(file: Path) -> None:
    """Delete a file of a snapshot and the blob that it links to."""
    for path in (file.resolve(), file):
        with contextlib.suppress(OSError):
            path.unlink()
