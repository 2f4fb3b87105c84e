"""The folders of one index run, and which of the library's files are no longer in them.

A file is gone if its folder could be listed and doesn't have it. What can't be read now, such as a disk that
isn't connected, is never taken for deleted.
"""

# Names stay exactly as the system has them.
# ruff: noqa: PTH100, PTH110, PTH112, PTH118

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

from pictag.errors import OptionError, shorten
from pictag.gallery.scan import ListedFile, ScanNotes, scan
from pictag.gallery.store import mark_missing, save_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from pictag.images import Failed


class FolderScan:
    """The folders to index: those given, or all folders of the library.

    The patterns of ``exclude`` are stored for a folder until others are given. Raises `OptionError`
    for a file, and without any folder.
    """

    countable = True  # for the command line: names don't come from a pipe

    def __init__(
        self,
        connection: sqlite3.Connection,
        folders: Iterable[str | os.PathLike[str]] = (),
        *,
        exclude: Sequence[str] = (),
    ) -> None:
        known = {
            os.fsdecode(path): tuple(json.loads(patterns))
            for path, patterns in connection.execute(
                "SELECT path, exclude FROM folders WHERE NOT is_mount ORDER BY path"
            )
        }
        given = dict.fromkeys(map(name_folder, list_folders(folders)))
        for root in given:
            if os.path.exists(root) and not os.path.isdir(root):
                raise OptionError(f"{shorten(root)} is a file. Give the folder that it is in.")
        if not given and not known:
            raise OptionError("The library has no folders yet. Name the folders to index.")
        self.exclude = {root: tuple(exclude) or known.get(root, ()) for root in given or known}
        self.notes = ScanNotes()
        self._known = frozenset(known)

    def expand(self) -> Iterator[ListedFile | Failed]:
        """The images in the folders, lazily, without the library."""
        for root, exclude in self.exclude.items():
            yield from scan(root, self.notes, exclude=exclude)

    def save(self, connection: sqlite3.Connection) -> dict[str, int]:
        """The ids of the folders; one that doesn't exist isn't stored."""
        return {
            root: save_folder(connection, os.fsencode(root), exclude=exclude)
            for root, exclude in self.exclude.items()
            if root in self._known or os.path.isdir(root)
        }

    def sweep(self, connection: sqlite3.Connection, seen: set[bytes]) -> tuple[int, dict[str, int]]:
        """Mark the files that no longer exist, after all were listed.

        Returns their number, and the folders that can't be read now with the number of their files, which
        stay in the library.
        """
        kept = {os.fsencode(path) for path in self.notes.unreadable | self.notes.empty_roots}
        for (mount,) in connection.execute("SELECT path FROM folders WHERE is_mount").fetchall():
            if os.fsdecode(mount) not in self.notes.mounts:
                kept.add(mount)
        for place in self.notes.mounts:
            save_folder(connection, os.fsencode(place), is_mount=True)
        ids = self.save(connection)
        missing, stays = 0, Counter[str]()
        for root in self.exclude:
            for file_id, path, folder_id in _list_files(connection, root):
                if path in seen:
                    continue
                reason = next((folder for folder in kept if _is_below(path, folder)), None)
                if reason is not None:
                    stays[os.fsdecode(reason)] += 1
                # The scan may have skipped a folder that another folder of the library includes.
                elif folder_id in ids.values() or not os.path.lexists(path):
                    mark_missing(connection, file_id)
                    missing += 1
        return missing, dict(stays)


def list_folders(folders: Iterable[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    """The folders; a single one needn't be in a list.

    >>> list_folders("photos"), list_folders(["a", "b"])
    (['photos'], ['a', 'b'])
    """
    return [folders] if isinstance(folders, str | bytes | os.PathLike) else list(folders)


def name_folder(folder: str | os.PathLike[str]) -> str:
    """The absolute path of a folder. Raises `OptionError` for an empty name: it isn't the current folder."""
    name = os.fsdecode(os.fspath(folder))
    if not name:
        raise OptionError("The name of a folder is empty. Write . for the current folder.")
    return os.path.abspath(name)


def remove_folder(connection: sqlite3.Connection, folder: str | os.PathLike[str]) -> int:
    """Remove a folder and its files from the library, and return their number; decisions stay.

    Raises `OptionError` for a folder that the library doesn't have.
    """
    root = name_folder(folder)
    rows = _list_files(connection, root)
    found = connection.execute("SELECT id FROM folders WHERE path = ?", (os.fsencode(root),)).fetchone()
    if found is None and not rows:
        raise OptionError(f"The library has no folder {shorten(root)}.")
    for file_id, _, _ in rows:
        mark_missing(connection, file_id)
    start, end = path_range(os.fsencode(root))
    connection.execute("DELETE FROM files WHERE is_missing AND path >= ? AND path < ?", (start, end))
    connection.execute(
        "DELETE FROM folders WHERE (path = ? OR path >= ? AND path < ?) "
        "AND NOT EXISTS (SELECT 1 FROM files WHERE folder_id = folders.id)",
        (os.fsencode(root), start, end),
    )
    return len(rows)


def _list_files(connection: sqlite3.Connection, root: str) -> list[tuple[int, bytes, int]]:
    """The files below a folder that aren't missing: id, path, id of the folder by which they were found."""
    return connection.execute(
        "SELECT id, path, folder_id FROM files WHERE NOT is_missing AND path >= ? AND path < ? ORDER BY path",
        path_range(os.fsencode(root)),
    ).fetchall()


def path_range(folder: bytes) -> tuple[bytes, bytes]:
    """The paths below a folder are at least the first of these and less than the second."""
    start = os.path.join(folder, b"")
    return start, start[:-1] + bytes((start[-1] + 1,))


def _is_below(path: bytes, place: bytes) -> bool:
    return path == place or path.startswith(os.path.join(place, b""))
