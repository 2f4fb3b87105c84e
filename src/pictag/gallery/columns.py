"""The library's data in arrays, so that a search takes milliseconds however many images it finds.

SQLite would need a look-up for each file of each condition, and a pass over all scores for the counts beside
facets. The arrays take about 30 bytes for each file, and 12 for each score that a search has asked for.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from pictag.gallery.folder_names import lies_in, read_folder
from pictag.gallery.full_text import path_text
from pictag.gallery.schema import read_stamp
from pictag.gallery.word_forms import (
    Forms,
    compile_words,
    find_words,
    fold,
    list_forms,
    split_words,
    tokenize,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from pictag.gallery.query import Words

Value = TypeVar("Value")
MIN_SCORE: Final = 0.2
"""Labels with a lower score match only if the query has a lower bound, as in ``score>0.05``."""
_MOST_KEPT: Final = 64  # words whose results are kept, of each kind
# FTS5 stems words, so a prefix that reaches into a word's ending would not be found.
_STEM_CHARACTERS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTerm:
    """A term that images are found by, with its word and its synonyms as words in all their forms."""

    id: int
    word: str
    kind: str
    names: tuple[tuple[Forms, ...], ...]
    exact_names: tuple[tuple[Forms, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The decisions about one term, as places of contents; a rejected one has the model's score or 0."""

    confirmed: NDArray[np.int64]
    rejected: NDArray[np.int64]
    rejected_scores: NDArray[np.float64]


class Columns:
    """The arrays of one library, read when they are needed, and again after the library changed.

    Files are in the order of their paths. A *place* is an index into these arrays: of a file in ``file_ids``,
    ``contents``, ``types``, ``days`` and ``folders``, or of a content in ``content_ids``. Missing files are
    left out. Files that couldn't be read, such as a camera's RAW files, share a content with the id 0.
    """

    file_ids: NDArray[np.int64]
    contents: NDArray[np.int64]
    """The place of each file's content."""
    types: NDArray[np.int64]
    """Each file's type, as an index into ``type_names``."""
    type_names: tuple[str, ...]
    days: NDArray[np.int64]
    """When each photograph was taken, as the number 20240630; 0 if that isn't known."""
    folders: NDArray[np.int64]
    """Each file's folder, as an index into ``folder_names``."""
    folder_names: tuple[tuple[str, ...], ...]
    """The folded names of each folder's path, from the root."""
    content_ids: NDArray[np.int64]
    terms: tuple[NamedTerm, ...]
    decided: dict[int, Decided]

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._stamp: tuple[int, int] | None = None
        self._scores: dict[int, tuple[float, NDArray[np.int64], NDArray[np.float64]]] = {}
        self._terms_by_form: dict[str, dict[int, NamedTerm]] = {}
        self._named: dict[tuple[Words, bool], tuple[NamedTerm, ...]] = {}
        self._best: NDArray[np.float64] | None = None
        self._inside: dict[Words, NDArray[np.bool_]] = {}
        self._found: dict[tuple[str, Words], NDArray[np.int64]] = {}

    def refresh(self) -> None:
        """Read the library if this or another process has changed it since the last call."""
        stamp = read_stamp(self.connection)
        if stamp == self._stamp:
            return
        self._scores.clear()
        self._best = None
        self._found.clear()
        self._read_files()
        self._read_terms()
        self._read_decisions()
        self._stamp = stamp

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Surrounds a decision made through this connection: only what depends on it is read again."""
        is_current = self._stamp is not None and self._stamp == read_stamp(self.connection)
        yield
        stamp = read_stamp(self.connection)
        if is_current and self._stamp is not None and stamp[0] == self._stamp[0]:  # no other program wrote
            self._read_new_decisions()
            self._stamp = stamp

    def _read_new_decisions(self) -> None:
        (count,) = self.connection.execute("SELECT count(*) FROM terms").fetchone()
        if count != len(self.terms):
            self._read_terms()
        former = self.decided
        self._read_decisions()
        for term_id in former.keys() | self.decided.keys():
            if not _is_same(former.get(term_id), self.decided.get(term_id)):
                self._scores.pop(term_id, None)
        self._best = None
        self._found = {key: found for key, found in self._found.items() if key[0] != "people"}

    def scores(self, term_id: int, floor: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The contents that have a term with at least this score, best first: places and scores.

        Confirmed terms have the score 1, and rejected ones are left out.
        """
        kept = self._scores.get(term_id)
        if kept is None or kept[0] > floor:
            rows = self.connection.execute(
                "SELECT content_id, score FROM scores WHERE term_id = ? AND score >= ? AND score > 0 "
                "ORDER BY score DESC",
                (term_id, min(floor, MIN_SCORE)),
            ).fetchall()
            table = _make_table(rows, 2)
            places, is_known = self.find_contents(table[:, 0].astype(np.int64))
            kept = min(floor, MIN_SCORE), places, table[is_known, 1]
            self._scores[term_id] = kept
        count = len(kept[2]) - int(np.searchsorted(kept[2][::-1], floor))
        return kept[1][:count], kept[2][:count]

    def find_terms(self, words: Words, *, is_whole: bool) -> tuple[NamedTerm, ...]:
        """The terms with these words in their word or a synonym; ``is_whole``: with no others."""
        if (words, is_whole) not in self._named:
            _make_room(self._named)
            self._named[words, is_whole] = tuple(self._search_terms(words, is_whole=is_whole))
        return self._named[words, is_whole]

    def _search_terms(self, words: Words, *, is_whole: bool) -> Iterator[NamedTerm]:
        tokens = tokenize(words.text)
        is_exact = words.is_quoted or words.is_prefix
        wanted = [frozenset((token,)) if is_exact else list_forms(token) for token in tokens]
        for term in self._terms_with(wanted[0]) if wanted[1:] or not words.is_prefix else self.terms:
            names = term.exact_names if words.is_quoted else term.names
            if any(find_words(wanted, name, is_prefix=words.is_prefix, is_whole=is_whole) for name in names):
                yield term

    def _terms_with(self, forms: Forms) -> Iterable[NamedTerm]:
        found: dict[int, NamedTerm] = {}
        for form in forms:
            found |= self._terms_by_form.get(form, {})
        return found.values()

    def is_inside(self, words: Words) -> NDArray[np.bool_]:
        """Which folders are in the folder of that name, however deep, or in the folder with that path."""
        if words not in self._inside:
            _make_room(self._inside)
            folder = read_folder(words)
            inside = [lies_in(names, *folder) for names in self.folder_names]
            self._inside[words] = np.array(inside, np.bool_)
        return self._inside[words]

    def best_scores(self) -> NDArray[np.float64]:
        """The score of each content's best label or concept; NaN if it has none."""
        if self._best is None:
            rows = self.connection.execute(
                "SELECT content_id, max(score) FROM scores WHERE score > 0 GROUP BY content_id"
            ).fetchall()
            table = _make_table(rows, 2)
            places, is_known = self.find_contents(table[:, 0].astype(np.int64))
            self._best = np.full(len(self.content_ids), np.nan)
            self._best[places] = table[is_known, 1]
        return self._best

    def find_contents(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The places of those contents that a file has, and which of ``ids`` those are."""
        return _find_places(self.content_ids, ids)

    def find_text(self, column: str, words: Words) -> NDArray[np.int64]:
        """The places of the files that have these words in a column of the full text."""
        if (column, words) not in self._found:
            _make_room(self._found)
            self._found[column, words] = self._search_text(column, words)
        return self._found[column, words]

    def _search_text(self, column: str, words: Words) -> NDArray[np.int64]:
        expression = f"{column}: ({write_expression(words)})"
        if not (words.is_quoted or words.is_prefix):
            rows = self.connection.execute(
                "SELECT rowid FROM words WHERE words MATCH ?", (expression,)
            ).fetchall()
            ids = np.fromiter(chain.from_iterable(rows), np.int64, len(rows))
        else:  # FTS5 stems words, so its result has others too; people's keywords are one to a line
            pattern = compile_words(tokenize(words.text), is_prefix=words.is_prefix)
            ids = np.array(
                [
                    file_id
                    for file_id, text in self.connection.execute(
                        f"SELECT rowid, {column} FROM words WHERE words MATCH ?", (expression,)
                    )
                    if any(map(pattern.search, fold(text).split("\n")))
                ],
                np.int64,
            )
        places, _ = _find_places(self._sorted_ids, ids)
        return self._sorted_places[places]

    def _read_files(self) -> None:
        rows = self.connection.execute(
            "SELECT id, coalesce(content_id, 0), type, "
            "coalesce(CAST(replace(substr(taken, 1, 10), '-', '') AS INTEGER), 0), path "
            "FROM files WHERE NOT is_missing ORDER BY path"
        ).fetchall()
        ids, contents, types, days, paths = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        self.file_ids = np.array(ids, np.int64)
        self.days = np.array(days, np.int64)
        self.type_names, self.types = _number(types)
        folders, self.folders = _number(os.path.dirname(path) for path in paths)  # noqa: PTH120 - bytes
        self.folder_names = tuple(
            tuple(filter(None, fold(path_text(folder)).replace(os.sep, "/").split("/"))) for folder in folders
        )
        self.content_ids, self.contents = np.unique(np.array(contents, np.int64), return_inverse=True)
        self._inside.clear()
        self._sorted_places = np.argsort(self.file_ids)
        self._sorted_ids = self.file_ids[self._sorted_places]

    def _read_terms(self) -> None:
        terms = []
        for term_id, word, synonyms, kind in self.connection.execute(
            "SELECT id, word, synonyms, kind FROM terms ORDER BY id"
        ):
            names = [tokenize(name) for name in (word, *json.loads(synonyms))]
            terms.append(
                NamedTerm(
                    id=term_id,
                    word=word,
                    kind=kind,
                    names=tuple(tuple(map(list_forms, name)) for name in names),
                    exact_names=tuple(tuple(frozenset((part,)) for part in name) for name in names),
                )
            )
        self.terms = tuple(terms)
        self._terms_by_form = defaultdict(dict)
        for term in terms:
            for form in frozenset().union(*chain.from_iterable(term.names)):
                self._terms_by_form[form][term.id] = term
        self._named.clear()

    def _read_decisions(self) -> None:
        rows: dict[int, list[tuple[int, str, float]]] = defaultdict(list)
        for content_id, term_id, verdict, model_score in self.connection.execute(
            "SELECT content_id, term_id, scores.verdict, coalesce(model_score, 0.0) FROM decisions "
            "JOIN contents USING (pixels) JOIN terms USING (meaning) "
            "JOIN scores ON content_id = contents.id AND term_id = terms.id WHERE scores.verdict IS NOT NULL"
        ):
            rows[term_id].append((content_id, verdict, model_score))
        self.decided = {}
        for term_id, entries in rows.items():
            rejected = [(entry[0], entry[2]) for entry in entries if entry[1] == "rejected"]
            confirmed = np.array([entry[0] for entry in entries if entry[1] != "rejected"], np.int64)
            places, is_known = self.find_contents(np.array([entry[0] for entry in rejected], np.int64))
            self.decided[term_id] = Decided(
                confirmed=self.find_contents(confirmed)[0],
                rejected=places,
                rejected_scores=np.array([entry[1] for entry in rejected], np.float64)[is_known],
            )


def write_expression(words: Words) -> str:
    """The FTS5 expression for a phrase. A prefix is shortened, and a quoted word may be stemmed.

    >>> from pictag.gallery.query import Words
    >>> write_expression(Words(text='T-shirts "blue"')), write_expression(Words(text="IMG_12*"))
    ('"T shirts blue"', '"IMG 12"*')
    """
    tokens = split_words(words.text)  # not folded: FTS5 does that, a little differently
    if words.is_prefix:
        last = tokens[-1]
        if last.isalpha():
            last = last[: _STEM_CHARACTERS - (last[_STEM_CHARACTERS - 1 : _STEM_CHARACTERS] in ("y", "Y"))]
        return f'"{" ".join((*tokens[:-1], last))}"*'
    phrases = [" ".join(tokens)]
    if len(tokens) == 1 and not words.is_quoted:
        folded = tokenize(words.text)
        phrases += sorted(list_forms(folded[0]) - {*folded}) if len(folded) == 1 else []
    return " OR ".join(f'"{phrase}"' for phrase in phrases)


def _make_room(kept: dict[Any, Any]) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()


def _is_same(one: Decided | None, other: Decided | None) -> bool:
    if one is None or other is None:
        return one is other
    return (
        np.array_equal(one.confirmed, other.confirmed)
        and np.array_equal(one.rejected, other.rejected)
        and np.array_equal(one.rejected_scores, other.rejected_scores)
    )


def _find_places(
    sorted_ids: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    if not len(sorted_ids):
        return np.empty(0, np.int64), np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(sorted_ids, wanted), len(sorted_ids) - 1)
    is_known = sorted_ids[places] == wanted
    return places[is_known], is_known


def _make_table(rows: list[tuple[float, ...]], columns: int) -> NDArray[np.float64]:
    """Rows of numbers as an array [N, columns]; ids up to 2**53 stay exact."""
    return np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * columns).reshape(-1, columns)


def _number(values: Iterable[Value]) -> tuple[tuple[Value, ...], NDArray[np.int64]]:
    """The distinct values, and each value as an index into them."""
    numbers: dict[Value, int] = {}
    indices = [numbers.setdefault(value, len(numbers)) for value in values]
    return tuple(numbers), np.array(indices, np.int64)
