"""The images of indexed files as the page shows them: JPEGs that pictag has made, never the files themselves.

Addresses have the number of a file, not its path. A file is read only if it lies in an indexed folder, also
after all links are followed.
"""

# Names stay exactly as the system has them.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from pictag.errors import ImageNotFound, InputError, shorten
from pictag.gallery.thumbnails import keep_thumbnail
from pictag.images import Source
from pictag.images.thumbnail import make_thumbnail

if TYPE_CHECKING:
    import sqlite3

    from pictag.browser.opened_library import OpenedLibrary

THUMBNAIL_SIZES: Final = (256, 512)
VIEW_SIZE: Final = 2048
_SLOTS = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))  # decoding; other requests stay quick


class OutsideFolders(InputError):
    """The file isn't in an indexed folder, or is a link that leads out of it."""


def read_thumbnail(library: OpenedLibrary, file_id: int, size: int) -> bytes:
    """A file's image as a JPEG with ``size`` pixels on its longest side at most, kept in the library.

    Raises `ImageNotFound`, `OutsideFolders`, and what `pictag.images.read_image` raises.
    """
    with library.reading() as connection:
        name = locate(connection, file_id)
        file_size, mtime_ns, content_id = connection.execute(
            "SELECT size, mtime_ns, content_id FROM files WHERE id = ?", (file_id,)
        ).fetchone()
        row = connection.execute(
            "SELECT jpeg FROM thumbnails WHERE content_id = ? AND size = ?", (content_id, size)
        ).fetchone()
    if row is not None:
        found: bytes = row[0]
        return found
    made = draw(name, size)
    status = os.stat(name)
    # A file that has changed since it was indexed shows another image than its content.
    if content_id is not None and (status.st_size, status.st_mtime_ns) == (file_size, mtime_ns):
        with library.writing() as connection:
            keep_thumbnail(connection, content_id, size, made)
    return made


def read_view(library: OpenedLibrary, file_id: int) -> bytes:
    """A file's image in the size of a screen; raises as `read_thumbnail` does."""
    with library.reading() as connection:
        name = locate(connection, file_id)
    return draw(name, VIEW_SIZE)


def locate(connection: sqlite3.Connection, file_id: int) -> str:
    """The path of an indexed file, without links. Raises `ImageNotFound` or `OutsideFolders`."""
    row = connection.execute(
        "SELECT files.path FROM files WHERE id = ? AND NOT is_missing", (file_id,)
    ).fetchone()
    if row is None:
        raise ImageNotFound("The library no longer has this photo.")
    real = os.path.realpath(row[0])
    folders = connection.execute("SELECT path FROM folders WHERE NOT is_mount").fetchall()
    if not any(real.startswith(os.path.join(os.path.realpath(folder), b"")) for (folder,) in folders):
        raise OutsideFolders(
            f"{shorten(os.fsdecode(row[0]))} is a link that leads out of the indexed folders. "
            "Index the folder that it leads to."
        )
    return os.fsdecode(real)


def draw(name: str, size: int) -> bytes:
    """The image in a file as an upright JPEG with ``size`` pixels on its longest side at most."""
    with _SLOTS:
        return make_thumbnail(Source(name=name, kind="file", value=name), size=size)
