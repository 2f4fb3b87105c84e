"""Random queries on random libraries: the search and its counts equal a slow evaluation file by file."""

from __future__ import annotations

import itertools
import os
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libraries import ROOT, Entry, make_library
from pictag.errors import QueryError
from pictag.gallery import Gallery
from pictag.gallery.columns import Columns
from pictag.gallery.facets import FacetCount, count_facets
from pictag.gallery.query import AllOf, AnyOf, Condition, Not, Score, Term, Words, parse
from pictag.gallery.schema import write
from pictag.gallery.search import search
from pictag.gallery.store import mark_missing
from slowsearch import SlowSearch

QUERIES = 5  # of each library
NUMBERS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.500001, 0.9, 1.0)
LABELS = ("dog", "cat", "hot dog", "golden retriever", "red panda", "coast")
OWN_WORDS = ("Rex", "Iceland", "beach")
KEYWORDS = ("Rex", "dogs", "dog", "hot", "Café", "beach trip", "Red", "panda")
FOLDERS = ("trip", "Trips", "day 1", "trip/day 1", "beach", "beach/trip")
NAMES = ("IMG_12", "img_123", "dog", "Café", "hot dog", "IMG-7", "rex")
DATES = (None, "2023-12-31T23:59:59", "2024-01-01T00:00:00", "2024-06-15T12:00:00", "2024-06-30T08:00:00")
TEXTS = (
    "dog", "dogs", "DOG", "cat", "cats", "hot", "hot-dog", "golden", "retriever", "retrievers", "panda",
    "beach", "beaches", "trip", "trips", "rex", "iceland", "café", "cafe", "IMG_12", "img", "7", "12",
    "red-panda", "photos",
)  # fmt: skip
BEGINNINGS = ("do*", "dog*", "retr*", "img_1*", "golden-r*", "tri*", "be*", "hot-do*", "caf*", "ice*")

texts = st.sampled_from(TEXTS)
words = st.one_of(
    st.builds(Words, text=st.sampled_from((*TEXTS, *BEGINNINGS))),
    st.builds(
        Words,
        text=st.sampled_from((*TEXTS, "hot dog", "golden retriever", "beach trip")),
        is_quoted=st.just(True),
    ),
)
scores = st.builds(Score, operator=st.sampled_from((">", ">=", "<", "<=")), number=st.sampled_from(NUMBERS))


def condition(key: str, *values: str) -> st.SearchStrategy[Condition]:
    some = st.lists(st.builds(Words, text=st.sampled_from(values)), min_size=1, max_size=2, unique=True)
    return st.builds(Condition, key=st.just(key), values=some.map(tuple))


days = ("2023", "2024", "2024-06", "2024-06-30", "2024-01-01", "2023-12-31")
conditions = st.one_of(
    st.builds(Condition, key=st.just("label"), values=st.lists(words, min_size=1, max_size=2).map(tuple)),
    st.builds(Condition, key=st.just("keyword"), values=st.lists(words, min_size=1, max_size=2).map(tuple)),
    condition("is", "confirmed", "unreviewed", "rejected"),
    condition("type", "jpeg", "png", "raw"),
    condition(
        "in", "trip", "TRIP/", "day 1", "trip/day 1", "/photos/trip", "/trip", "tri*", "/photos/be*", "photos"
    ),
    *(condition(key, *days) for key in ("after", "before", "date")),
)
leaves = st.one_of(words, words, conditions, scores)


def extend(inner: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(
        st.builds(AllOf, terms=several),
        st.builds(AnyOf, terms=several),
        inner.filter(lambda term: not isinstance(term, Score)).map(lambda term: Not(term=term)),
    )


trees = st.recursive(leaves, extend, max_leaves=8).map(
    lambda term: term if isinstance(term, AllOf) else AllOf(terms=(term,))
)


@st.composite
def libraries(draw: st.DrawFn) -> tuple[list[Entry], frozenset[str]]:
    contents = []
    for number in range(draw(st.integers(1, 4))):
        found = draw(st.dictionaries(st.sampled_from(LABELS), st.sampled_from(NUMBERS[1:]), max_size=4))
        verdicts = {word: draw(st.sampled_from((None, None, "confirmed", "rejected"))) for word in found}
        added = draw(st.lists(st.sampled_from(OWN_WORDS), max_size=1))
        decisions = {word: v for word, v in verdicts.items() if v is not None} | dict.fromkeys(added, "added")
        contents.append((bytes([number]) * 32, found, decisions))
    paths = draw(
        st.lists(
            st.builds("{}/{}/{}.jpg".format, st.just(ROOT), st.sampled_from(FOLDERS), st.sampled_from(NAMES)),
            min_size=1, max_size=7, unique=True,
        )
    )  # fmt: skip
    entries = []
    for path in paths:
        pixels, found, decisions = draw(st.sampled_from(contents))
        has_failed = draw(st.integers(0, 9)) == 0
        entries.append(
            Entry(
                path=path,
                pixels=pixels,
                scores={} if has_failed else found,
                decisions={} if has_failed else decisions,
                error="broken" if has_failed else None,
                keywords=tuple(draw(st.lists(st.sampled_from(KEYWORDS), max_size=3))),
                taken=draw(st.sampled_from(DATES)),
                type=draw(st.sampled_from(("jpeg", "png"))),
            )
        )
    return entries, frozenset(draw(st.lists(st.sampled_from(paths), max_size=1)))


def render(term: Term, data: st.DataObject) -> str:
    """The term as someone may type it."""
    match term:
        case Words():
            return f'"{term.text}"' if term.is_quoted else term.text
        case Condition():
            values = (f'"{v.text}"' if " " in v.text or v.is_quoted else v.text for v in term.values)
            return f"{data.draw(st.sampled_from((term.key, term.key.upper())))}:{','.join(values)}"
        case Score():
            return f"score{term.operator}{term.number:.7g}"
        case Not():
            inner = render(term.term, data)
            if isinstance(term.term, (AllOf, AnyOf)):
                inner = f"({inner})"
            return f"NOT {inner}" if inner[0] == "-" or data.draw(st.booleans()) else f"-{inner}"
        case AnyOf():
            return " OR ".join(
                f"({render(part, data)})" if isinstance(part, AnyOf) else render(part, data)
                for part in term.terms
            )
        case AllOf():
            joined = data.draw(st.sampled_from((" ", "  ", " AND ")))
            return joined.join(
                f"({render(part, data)})" if isinstance(part, (AllOf, AnyOf)) else render(part, data)
                for part in term.terms
            )


def open_random(folder: str, entries: Sequence[Entry], missing: frozenset[str]) -> Gallery:
    gallery = make_library(Path(folder) / "gallery.db", entries)
    with write(gallery.connection):
        for path in missing:
            (file_id,) = gallery.connection.execute(
                "SELECT id FROM files WHERE path = ?", (os.fsencode(path),)
            ).fetchone()
            mark_missing(gallery.connection, file_id)
    return gallery


def normalize(counts: Sequence[FacetCount]) -> dict[str, int]:
    assert list(counts) == sorted(counts, key=lambda entry: -entry.count)
    return {entry.value: entry.count for entry in counts}


def check_random_queries(data: st.DataObject) -> None:
    entries, missing = data.draw(libraries())
    slow = SlowSearch(entries, missing)
    with tempfile.TemporaryDirectory() as folder, open_random(folder, entries, missing) as gallery:
        columns = Columns(gallery.connection)
        for _ in range(QUERIES):
            tree = data.draw(trees)
            text = render(tree, data)
            parsed = parse(text)
            assert simplify(parsed) == simplify(tree)
            check_search(gallery.connection, columns, text, slow.search(parsed))
            check_counts(gallery.connection, columns, text, slow, parsed)


def simplify(term: Term) -> Term:
    """The tree without what a text can't tell: how a quoted value of a plain key was written."""
    match term:
        case Condition() if term.key not in ("label", "keyword"):
            return Condition(key=term.key, values=tuple(Words(text=value.text) for value in term.values))
        case Not():
            return Not(term=simplify(term.term))
        case AllOf() | AnyOf():
            return type(term)(terms=tuple(map(simplify, term.terms)))
    return term


def check_search(
    connection: sqlite3.Connection, columns: Columns, text: str, expected: list[tuple[str, float | None]]
) -> None:
    result = search(connection, text, columns=columns)
    assert [(file.name, file.score) for file in result.files] == expected, text
    assert result.total == len(expected)
    pages = (
        search(connection, text, limit=2, offset=start).files for start in range(0, len(expected) + 1, 2)
    )
    assert [file.name for file in itertools.chain.from_iterable(pages)] == [path for path, _ in expected]


def check_counts(
    connection: sqlite3.Connection, columns: Columns, text: str, slow: SlowSearch, tree: AllOf
) -> None:
    facets, expected = count_facets(connection, text, columns=columns), slow.count(tree)
    assert facets.total == expected.total, text
    assert normalize(facets.types) == {entry.value: entry.count for entry in expected.types}, text
    assert normalize(facets.labels) == {entry.value: entry.count for entry in expected.labels}, text
    assert normalize(facets.states) == {entry.value: entry.count for entry in expected.states}, text
    assert [(y.value, y.count) for y in facets.years] == [(y.value, y.count) for y in expected.years], text


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_queries_find_what_a_slow_evaluation_finds(data: st.DataObject) -> None:
    check_random_queries(data)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_two_thousand_random_queries_find_what_a_slow_evaluation_finds(data: st.DataObject) -> None:
    check_random_queries(data)


PIECES = (
    "label:", "score>", "score:", "is:", "type:", "date:", "similar:", "OR", "AND", "NOT", "-", "(", ")",
    '"', ",", "*", " ", "dog", "0.5", "50%", "\0", "\udce9", "é", "http://x", "C++", "don't", ":",
)  # fmt: skip


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_any_text_is_a_query_or_a_query_error(awkward: sqlite3.Connection, text: str) -> None:
    try:
        result = search(awkward, text, find_similar=lambda _: {})
    except QueryError as error:
        problem = error
    else:
        assert result.total == len(list(result.files))
        return
    assert problem.query == text
    assert 0 <= problem.start < problem.end
    assert problem.start <= len(text)


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    entries = [
        Entry(path="/photos/C++/don't.jpg", scores={"dog": 0.5}, keywords=("T-shirt", "12:30", "C++")),
        Entry(path="/photos/http/x.jpg"),
    ]
    return make_library(tmp_path_factory.mktemp("library") / "gallery.db", entries).connection
