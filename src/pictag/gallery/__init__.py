"""The gallery: an index of photographs that is searched by what they show.

>>> from pictag.gallery import Gallery
>>> with Gallery.open("gallery.db") as gallery:                        # doctest: +SKIP
...     gallery.index(["photos"], classifier)
...     gallery.search("dog -cat score>0.5")
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pictag.gallery.schema import open_library

if TYPE_CHECKING:
    import sqlite3
    from types import TracebackType

__all__ = ["Gallery"]


class Gallery:
    """One library. Not thread-safe: give each thread its own, or hold a lock.

    Other processes may read while one writes.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False) -> Self:
        """Open the library in a file; ``create`` makes a file that doesn't exist.

        Raises an error of the `pictag.errors.LibraryError` branch, or `OutputError`.
        """
        return cls(open_library(Path(path), create=create), Path(path))

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
