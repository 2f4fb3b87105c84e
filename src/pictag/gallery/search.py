"""Search a library: the files that a query selects, best first, with their labels."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pictag.errors import OptionError
from pictag.gallery.columns import MIN_SCORE, Columns
from pictag.gallery.query import parse
from pictag.gallery.selection import Scope, Selector, narrow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from pictag.gallery.selection import FindSimilar
    from pictag.gallery.similar import LoadedVectors

SIMILAR_IMAGES: Final = 100
"""How many images ``similar:`` selects."""
_ROWS_READ: Final = 500  # at a time: SQLite allows about 1,000 parameters in old versions


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLabel:
    """A label, concept or added word of a file; ``verdict`` is what a person decided about it, or None."""

    word: str
    score: float
    kind: str
    verdict: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file of a result. ``score`` is None if no label was searched for, or only the name matches."""

    id: int
    path: bytes
    score: float | None
    labels: tuple[FoundLabel, ...]

    @property
    def name(self) -> str:
        """The path as Python represents it."""
        return os.fsdecode(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """How many files a query selects, and an iterator over those that were asked for, best first."""

    total: int
    files: Iterator[FoundFile]


def search(
    connection: sqlite3.Connection,
    query: str = "",
    *,
    limit: int | None = None,
    offset: int = 0,
    columns: Columns | None = None,
    find_similar: FindSimilar | None = None,
) -> SearchResult:
    """The files that a query selects: best first, and in the order of paths where they are equal.

    ``limit`` and ``offset`` choose a page. ``columns`` of an earlier search make this one faster.
    ``find_similar`` returns the scores of the contents that are similar to an image, by content id.
    Raises `pictag.errors.QueryError`, which has the position of the error.
    """
    if offset < 0 or (limit is not None and limit < 0):
        raise OptionError(f"limit={limit!r} and offset={offset!r} can't be negative.")
    tree = parse(query)
    columns = columns or Columns(connection)
    columns.refresh()
    found = Selector(columns, find_similar or use_similar(connection)).select(tree)
    places = np.flatnonzero(found.mask)
    places = places[np.argsort(-found.ranks[places], kind="stable")]
    page = places[offset : None if limit is None else offset + limit]
    floor = min(MIN_SCORE, narrow(Scope(), tree.terms).lowest)
    return SearchResult(
        total=len(places),
        files=_read_files(connection, columns.file_ids[page], found.scores[page], floor),
    )


def read_labels(
    connection: sqlite3.Connection, file_ids: Sequence[int], *, floor: float = MIN_SCORE
) -> dict[int, tuple[FoundLabel, ...]]:
    """The labels of files from a score on, best first, by file id, without those that people rejected."""
    marks = ", ".join("?" * len(file_ids))
    labels: dict[int, list[FoundLabel]] = {file_id: [] for file_id in file_ids}
    for file_id, word, kind, score, verdict in connection.execute(
        "SELECT files.id, word, kind, score, verdict FROM files "
        "JOIN scores USING (content_id) JOIN terms ON terms.id = term_id "
        f"WHERE files.id IN ({marks}) AND score > 0 AND score >= ? "
        "ORDER BY verdict IS NULL, score DESC, terms.id",
        (*file_ids, floor),
    ):
        labels[file_id].append(FoundLabel(word=word, score=score, kind=kind, verdict=verdict))
    return {file_id: tuple(found) for file_id, found in labels.items()}


def _read_files(
    connection: sqlite3.Connection, ids: NDArray[np.int64], scores: NDArray[np.float64], floor: float
) -> Iterator[FoundFile]:
    for start in range(0, len(ids), _ROWS_READ):
        wanted: list[int] = ids[start : start + _ROWS_READ].tolist()
        marks = ", ".join("?" * len(wanted))
        paths: Mapping[int, bytes] = dict(
            connection.execute(f"SELECT id, path FROM files WHERE id IN ({marks})", wanted)
        )
        labels = read_labels(connection, wanted, floor=floor)
        for file_id, score in zip(wanted, scores[start : start + _ROWS_READ].tolist(), strict=True):
            if file_id in paths:  # it wasn't removed meanwhile
                yield FoundFile(
                    id=file_id,
                    path=paths[file_id],
                    score=None if math.isnan(score) else score,
                    labels=labels[file_id],
                )


def use_similar(connection: sqlite3.Connection, vectors: LoadedVectors | None = None) -> FindSimilar:
    """What ``similar:`` finds: the images that are most similar to an image, with their cosines.

    ``vectors`` are the library's embeddings in memory.
    """

    def rate(path: str) -> dict[int, float]:
        from pictag.gallery.similar import find_reference, rate_similar

        return rate_similar(connection, find_reference(connection, path), k=SIMILAR_IMAGES, vectors=vectors)

    return rate
