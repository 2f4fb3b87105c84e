"""Groups of duplicates for the page: found in a thread of their own, because many images take a minute."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from pictag.browser.listing import list_photos
from pictag.errors import PictagError
from pictag.gallery import Gallery
from pictag.gallery.duplicates import find_duplicates
from pictag.gallery.full_text import path_text
from pictag.gallery.schema import write

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from pictag.browser.opened_library import OpenedLibrary
    from pictag.gallery.duplicates import DuplicateGroup

Pair = tuple[bytes, bytes]


class DuplicateFinder:
    """Finds the groups of a library once, and again after `restart`."""

    def __init__(self, library: OpenedLibrary) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._groups: list[DuplicateGroup] | None = None
        self._problem = ""

    def restart(self) -> None:
        """Find them again at the next call."""
        with self._lock:
            self._groups, self._problem = None, ""

    def describe(self, *, offset: int, limit: int) -> dict[str, Any]:
        """A page of the groups as JSON; ``total`` is None until they are found."""
        with self._lock:
            if self._groups is None and not self._problem and self._thread is None:
                self._thread = threading.Thread(target=self._find, name="duplicates", daemon=True)
                self._thread.start()
            groups, problem = self._groups, self._problem
        if groups is None:
            return {"total": None, "groups": [], "message": problem}
        with self._library.reading() as connection:
            shown = [_describe(connection, group) for group in groups[offset : offset + limit]]
        return {"total": len(groups), "groups": shown, "message": ""}

    def _find(self) -> None:
        groups: list[DuplicateGroup] | None = None
        problem = ""
        try:
            with Gallery.open(self._library.path) as gallery:
                groups = find_duplicates(gallery.connection)
        except PictagError as error:
            problem = str(error)
        with self._lock:
            self._groups, self._problem, self._thread = groups, problem, None

    def drop(self, paths: Sequence[bytes]) -> None:
        """Leave out the group of these files, which was dismissed."""
        with self._lock:
            if self._groups is not None:
                self._groups = [group for group in self._groups if set(group.files) != set(paths)]


def _describe(connection: sqlite3.Connection, group: DuplicateGroup) -> dict[str, Any]:
    rows = {
        path: (file_id, size, taken, type_)
        for path in group.files
        for file_id, size, taken, type_ in connection.execute(
            "SELECT id, size, taken, type FROM files WHERE path = ? AND NOT is_missing", (path,)
        )
    }
    photos = {photo["id"]: photo for photo in list_photos(connection, [row[0] for row in rows.values()])}
    shown = []
    for path, (file_id, size, taken, type_) in rows.items():
        if file_id in photos:
            shown.append(
                photos[file_id]
                | {
                    "size": size,
                    "taken": taken,
                    "type": type_,
                    "folder": path_text(os.path.dirname(path)),  # noqa: PTH120 - bytes
                    "keep": path == group.keep,
                }
            )
    return {"kind": group.kind, "reason": group.reason, "photos": shown}


def read_dismissed(connection: sqlite3.Connection) -> set[Pair]:
    """The pairs of images that are no duplicates of each other."""
    return set(connection.execute("SELECT first, second FROM dismissed"))


def forget_dismissed(connection: sqlite3.Connection, pairs: Iterable[Pair]) -> None:
    """Undo that pairs were dismissed."""
    with write(connection):
        connection.executemany("DELETE FROM dismissed WHERE first = ? AND second = ?", list(pairs))
