"""Thumbnails: small upright JPEGs, made on first view and kept in the library."""

# Names stay exactly as the system has them.
# ruff: noqa: PTH116

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pictag.errors import ImageNotFound, LibraryLocked, OptionError, shorten
from pictag.gallery.schema import write
from pictag.images import Source
from pictag.images.thumbnail import make_thumbnail

if TYPE_CHECKING:
    import sqlite3

SIZES = (64, 2048)


def read_thumbnail(connection: sqlite3.Connection, file_id: int, *, size: int = 256) -> bytes:
    """An indexed file's image as JPEG bytes, upright, with at most ``size`` pixels on its longest side.

    Files with the same pixels share a thumbnail. Raises `OptionError` for a size outside 64…2048,
    `ImageNotFound` for an unknown or deleted file, and what `pictag.images.read_image` raises.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise OptionError(f"size={shorten(size)} is not in {SIZES[0]}…{SIZES[1]} pixels.")
    row = connection.execute(
        "SELECT files.path, files.size, mtime_ns, files.content_id, jpeg FROM files "
        "LEFT JOIN thumbnails ON thumbnails.content_id = files.content_id AND thumbnails.size = ? "
        "WHERE files.id = ? AND NOT is_missing",
        (size, file_id),
    ).fetchone()
    if row is None:
        raise ImageNotFound(f"The library has no file with the number {shorten(file_id)}.")
    path, file_size, mtime_ns, content_id, jpeg = row
    if jpeg is not None:
        found: bytes = jpeg
        return found
    name = os.fsdecode(path)
    made = make_thumbnail(Source(name=name, kind="file", value=name), size=size)
    status = os.stat(name)
    # The file may have changed since it was indexed, and show another image.
    if content_id is not None and (status.st_size, status.st_mtime_ns) == (file_size, mtime_ns):
        keep_thumbnail(connection, content_id, size, made)
    return made


def keep_thumbnail(connection: sqlite3.Connection, content_id: int, size: int, jpeg: bytes) -> None:
    """Store a thumbnail, unless another program is writing."""
    (patience_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with write(connection):
            connection.execute(
                "INSERT OR REPLACE INTO thumbnails (content_id, size, jpeg) VALUES (?, ?, ?)",
                (content_id, size, jpeg),
            )
    except LibraryLocked:  # it is only a cache, and a viewer doesn't wait for an index run
        pass
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(patience_ms)}")
