"""A library as the page uses it: from many threads, with what makes the next request quick in memory.

One connection searches and writes, a second one reads what is shown, so that a slow search doesn't delay
the photos. Each is used by one thread at a time.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pictag.browser.explaining import Explainer
from pictag.browser.question import Question, list_sought, read_reference
from pictag.errors import OptionError, shorten
from pictag.gallery import Gallery
from pictag.gallery.columns import Columns
from pictag.gallery.facets import count_facets
from pictag.gallery.query import parse
from pictag.gallery.schema import explain_errors
from pictag.gallery.selection import Selector
from pictag.gallery.similar import LoadedVectors, Reference, rate_similar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.gallery.facets import Facets
    from pictag.gallery.query import AllOf

SIMILAR_IMAGES: Final = 300
_RESULTS_KEPT: Final = 20
_REST: Final = 4  # while another program writes, reading the library again takes a fifth of the time at most


class KeptColumns(Columns):
    """Columns that are read again only if another program wrote, and not all the time while it does.

    What this process writes through the same connection is noted with `note_decisions`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._version: int | None = None
        self._next_s = 0.0

    def refresh(self) -> None:
        """Read the library if another program has changed it."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if version == self._version or time.monotonic() < self._next_s:
            return
        started_s = time.monotonic()
        super().refresh()
        self._version = version
        self._next_s = time.monotonic() + _REST * (time.monotonic() - started_s)

    def expire(self) -> None:
        """Don't put off the next reading."""
        self._next_s = 0.0

    def note_decisions(self) -> None:
        """Read what depends on decisions that this process made."""
        if self._version is not None:
            self._read_new_decisions()


class KeptVectors(LoadedVectors):
    """Embeddings that are read again only if there are others: decisions and thumbnails don't change them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._kept: tuple[int, ...] = ()

    def load(self, model_id: int) -> Any:
        """The content ids [N] and embeddings [N, D] of a model."""
        stamp = self._connection.execute(
            "SELECT ?, count(*), coalesce(max(block), 0), coalesce(sum(length(content_ids)), 0) "
            "FROM vectors WHERE model_id = ?",
            (model_id, model_id),
        ).fetchone()
        if stamp != self._kept:
            self._block = self._read(model_id)
            self._kept = stamp
        return self._block


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The files that a question selects, in order, as they were when it was asked; scores may be NaN.

    ``word`` is the label that the question is about, if there is one.
    """

    id: str
    question: Question
    file_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    word: str | None


class OpenedLibrary:
    """A library that many threads use. Raises as `Gallery` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.explainer = Explainer()
        self._gallery = Gallery.open(path, create=True)
        self._reader = Gallery.open(path)
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._columns = KeptColumns(self._gallery.connection)
        self._vectors = KeptVectors(self._gallery.connection)
        self._results: OrderedDict[str, Result] = OrderedDict()

    def close(self) -> None:
        """Close the file and the model."""
        self.explainer.close()
        with self._writing, self._reading:
            self._gallery.close()
            self._reader.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading what is shown."""
        with self._reading, explain_errors(self.path):
            yield self._reader.connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection that searches and writes."""
        with self._writing, explain_errors(self.path):
            yield self._gallery.connection

    @contextmanager
    def columns(self, *, is_fresh: bool = False) -> Iterator[KeptColumns]:
        """The columns. With ``is_fresh``, what another program wrote a moment ago counts too."""
        with self.writing():
            if is_fresh:
                self._columns.expire()
            self._columns.refresh()
            yield self._columns

    def note_decisions(self) -> None:
        """Let the next search know about decisions; call it within `writing`."""
        self._columns.note_decisions()

    def search(self, question: Question, *, is_fresh: bool = False) -> Result:
        """The files that a question selects; the result can be paged with `find_result`.

        Raises `pictag.errors.QueryError`.
        """
        tree = parse(question.compose())
        with self.columns(is_fresh=is_fresh) as columns:
            found = Selector(columns, self._find_similar).select(tree)
            places = np.flatnonzero(found.mask)
            sort = question.sort
            if sort == "auto":
                sort = "best" if found.ranks.any() else "newest"
            if sort == "best":
                places = places[np.argsort(-found.ranks[places], kind="stable")]
            elif sort != "name":
                places = places[np.argsort(columns.days[places], kind="stable")]
                places = places[::-1] if sort == "newest" else places
            result = Result(
                id=secrets.token_urlsafe(9),
                question=question,
                file_ids=columns.file_ids[places],
                scores=found.scores[places],
                word=_find_sought(columns, tree),
            )
            self._results[result.id] = result
            while len(self._results) > _RESULTS_KEPT:
                self._results.popitem(last=False)
        return result

    def find_result(self, result_id: str) -> Result | None:
        """An earlier result; None if it was too long ago."""
        return self._results.get(result_id)

    def count(self, question: Question, *, is_fresh: bool = False) -> Facets:
        """The counts beside the values of facets. Raises `pictag.errors.QueryError`."""
        query = question.compose()
        with self.columns(is_fresh=is_fresh) as columns:
            return count_facets(
                self._gallery.connection, query, columns=columns, find_similar=self._find_similar
            )

    def warm_up(self) -> None:
        """Read what the first requests need."""
        self.count(Question())

    def _find_similar(self, text: str) -> Mapping[int, float]:
        connection, file_id = self._gallery.connection, read_reference(text)
        path = os.path.abspath(os.path.expanduser(os.fsencode(text)))  # noqa: PTH100, PTH111 - bytes
        row = connection.execute(
            "SELECT content_id, model_id FROM files JOIN contents ON contents.id = content_id "
            "WHERE NOT is_missing AND vector_id IS NOT NULL AND "
            + ("path = ?" if file_id is None else "files.id = ?"),
            (path if file_id is None else file_id,),
        ).fetchone()
        if row is None:
            raise OptionError(f"similar: needs an image of the library. {shorten(text)} isn't one.")
        content_id, model_id = row
        ids, vectors = self._vectors.load(model_id)
        reference = Reference(
            vector=vectors[np.flatnonzero(ids == content_id)[0]], model_id=model_id, content_id=content_id
        )
        return rate_similar(connection, reference, k=SIMILAR_IMAGES, vectors=self._vectors)


def _find_sought(columns: Columns, tree: AllOf) -> str | None:
    """The label that a query asks for, if it is one that the library has."""
    for words, _ in list_sought(tree.terms):
        if terms := columns.find_terms(words, is_whole=True):
            return terms[0].word
    return None
