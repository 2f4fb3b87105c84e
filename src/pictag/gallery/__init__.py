"""The gallery: an index of photographs, searchable by their content.

>>> from pictag.gallery import Gallery
>>> with Gallery.open("gallery.db") as gallery:                        # doctest: +SKIP
...     gallery.index(["photos"], classifier)
...     gallery.search("dog -cat score>0.5")
"""

from __future__ import annotations

import json
import os
import sqlite3
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pictag.gallery.columns import Columns
from pictag.gallery.decisions import decide, forget
from pictag.gallery.facets import Facets, count_facets
from pictag.gallery.full_text import path_text
from pictag.gallery.schema import explain_errors, open_library, write
from pictag.gallery.search import SearchResult, search, use_similar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from pictag.gallery.duplicates import DuplicateGroup
    from pictag.gallery.index import IndexSummary
    from pictag.gallery.search import FoundFile
    from pictag.gallery.similar import LoadedVectors
    from pictag.pipelines import ImageClassificationPipeline

__all__ = ["Gallery"]


class Gallery:
    """One library. Not thread-safe: give each thread its own, or hold a lock.

    Other processes may read while one writes.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self._vectors: LoadedVectors | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False) -> Self:
        """Open the library in a file; ``create`` makes a file that doesn't exist.

        Raises an error of the `pictag.errors.LibraryError` branch, or `OutputError`.
        """
        return cls(open_library(Path(path), create=create), Path(path))

    @property
    def model_name(self) -> str | None:
        """The model of the last index run; ``None`` before the first."""
        row = self.connection.execute("SELECT name FROM models WHERE is_current").fetchone()
        return None if row is None else row[0]

    @property
    def model_options(self) -> dict[str, Any] | None:
        """The options that open the model of the last index run; ``None`` before the first."""
        row = self.connection.execute("SELECT options FROM models WHERE is_current").fetchone()
        return None if row is None else json.loads(row[0])

    def count_other_model(self) -> int:
        """The number of images whose labels are those of another model."""
        row: tuple[int] = self.connection.execute(
            "SELECT count(*) FROM files JOIN contents ON contents.id = content_id "
            "WHERE NOT is_missing AND model_id <> (SELECT id FROM models WHERE is_current)"
        ).fetchone()
        return row[0]

    def index(
        self,
        folders: Iterable[str | os.PathLike[str]],
        classifier: ImageClassificationPipeline[Any],
        *,
        exclude: Sequence[str] = (),
        retry_failed: bool = False,
    ) -> IndexSummary:
        """Bring the library up to date with ``folders``, or with all of its folders if none are given.

        Args:
            folders: Their subfolders are included. Hidden files are skipped.
            classifier: A pipeline opened with ``embeddings=True``. With another model than before, the
                images in the folders get its labels; people's decisions stay.
            exclude: Patterns of files and folders to leave out, by name or path below a folder; they are
                stored for these folders.
            retry_failed: Try images again that failed and haven't changed.

        Raises:
            LibraryLocked: another program has been writing for 15 seconds.
            OutputError: the library can't be written, such as on a full disk. What was stored before stays.
        """
        from pictag.gallery.folders import FolderScan
        from pictag.gallery.index import Indexer

        scan = FolderScan(self.connection, folders, exclude=exclude)
        indexer = Indexer(self.connection, classifier, scan, path=self.path, retry_failed=retry_failed)
        try:
            for indexed in indexer.stream(scan.expand()):
                indexer.write(indexed)
        finally:
            indexer.close()
        return indexer.summary

    def similar(
        self, image: Any, *, k: int = 10, classifier: ImageClassificationPipeline[Any] | None = None
    ) -> list[FoundFile]:
        """The images most similar to ``image``, best first; see `pictag.gallery.similar.find_similar`.

        The first call reads all embeddings into memory: 500 MB for 100,000 images with 1,280 numbers each.
        """
        from pictag.gallery.similar import LoadedVectors, find_similar

        self._vectors = self._vectors or LoadedVectors(self.connection)
        return find_similar(self.connection, image, k=k, classifier=classifier, vectors=self._vectors)

    def duplicates(
        self, folders: Iterable[str | os.PathLike[str]] = (), *, only_present: bool = True
    ) -> list[DuplicateGroup]:
        """The groups of duplicates, optionally only among files in ``folders``. Nothing is deleted.

        Files that aren't there now or have changed since they were indexed are left out, with a warning,
        unless ``only_present`` is false.
        """
        from pictag.gallery.duplicates import find_duplicates

        return find_duplicates(self.connection, folders, only_present=only_present)

    def dismiss(self, files: Sequence[str | os.PathLike[str]]) -> int:
        """Record that files aren't duplicates of each other; returns the number of pairs of images."""
        from pictag.gallery.duplicates import dismiss

        return dismiss(self.connection, files)

    def confirm(self, file: str | os.PathLike[str], word: str) -> str:
        """Confirm a label of an image: its score is 1. Returns the label, also for a synonym of it.

        Raises `OptionError` for a file or a word that isn't known, and `LibraryLocked`; so do the others.
        """
        with self.columns.deciding():
            return decide(self.connection, file, word, "confirmed")

    def reject(self, file: str | os.PathLike[str], word: str) -> str:
        """Reject a label of an image: a search for it no longer finds the image."""
        with self.columns.deciding():
            return decide(self.connection, file, word, "rejected")

    def add(self, file: str | os.PathLike[str], word: str) -> str:
        """Add a word of your own to an image."""
        with self.columns.deciding():
            return decide(self.connection, file, word, "added")

    def forget(self, file: str | os.PathLike[str], word: str) -> str:
        """Undo the decision about a word: the model's score applies again."""
        with self.columns.deciding():
            return forget(self.connection, file, word)

    @cached_property
    def columns(self) -> Columns:
        """The arrays in which searches keep the library's data."""
        return Columns(self.connection)

    def search(self, query: str = "", *, limit: int | None = None, offset: int = 0) -> SearchResult:
        """The images that a query selects, best first; docs/search.md describes the language of queries.

        Raises `pictag.errors.QueryError`, which points at the place.
        """
        return search(
            self.connection,
            query,
            limit=limit,
            offset=offset,
            columns=self.columns,
            find_similar=use_similar(self.connection, self._vectors),
        )

    def facets(self, query: str = "") -> Facets:
        """How many images the query selects with each label, type, year and review state."""
        find_similar = use_similar(self.connection, self._vectors)
        return count_facets(self.connection, query, columns=self.columns, find_similar=find_similar)

    def thumbnail(self, file_id: int, *, size: int = 256) -> bytes:
        """A file's image as JPEG bytes, upright, with at most ``size`` pixels on its longest side."""
        from pictag.gallery.thumbnails import read_thumbnail

        return read_thumbnail(self.connection, file_id, size=size)

    def remove(self, folder: str | os.PathLike[str]) -> int:
        """Remove a folder and its files from the library, and return their number. Decisions stay."""
        from pictag.gallery.folders import remove_folder

        with write(self.connection, self.path):
            return remove_folder(self.connection, folder)

    def status(self) -> dict[str, Any]:
        """The library's status by name: counts, the model, and the indexed folders."""

        def count(query: str) -> int:
            number: int = self.connection.execute(f"SELECT count(*) FROM {query}").fetchone()[0]
            return number

        folders = self.connection.execute("SELECT path FROM folders WHERE NOT is_mount ORDER BY path")
        return {
            "library": str(self.path),
            "model": self.model_name,
            "folders": [path_text(path) for (path,) in folders],
            "files": count("files WHERE NOT is_missing"),
            "images": count("contents WHERE id IN (SELECT content_id FROM files WHERE NOT is_missing)"),
            "failed": count("files WHERE NOT is_missing AND error IS NOT NULL"),
            "decisions": count("decisions"),
            "dismissed": count("dismissed"),
        }

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):  # errors while reading; writing functions convert their own
            with explain_errors(self.path):
                raise error
