"""Searches as a person types them, on libraries with a few files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libraries import Entry, make_library
from pictag.errors import OptionError
from pictag.gallery import Gallery
from pictag.gallery.columns import Columns
from pictag.gallery.facets import count_facets
from pictag.gallery.search import search

ENTRIES = (
    Entry(path="/photos/trip/rex.jpg", scores={"dog": 0.9, "mammal": 0.95}, keywords=("Rex", "Família")),
    Entry(
        path="/photos/trip/tom.png", scores={"cat": 0.6, "dog": 0.3}, type="png", taken="2024-06-30T12:00:00"
    ),
    Entry(path="/photos/snack.jpg", scores={"hot dog": 0.99}, taken="2023-12-31T23:59:59"),
    Entry(path="/photos/dog days/beach.jpg", scores={"coast": 0.8, "dog": 0.05}),
    Entry(path="/photos/other/drawn.jpg", scores={"cat": 0.4}, keywords=("Dog",)),
    Entry(path="/photos/raw/IMG_1234.cr2", error="a camera's raw file", type="raw", keywords=("Rex",)),
)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with make_library(tmp_path / "gallery.db", ENTRIES) as gallery:
        yield gallery


def find(gallery: Gallery, query: str) -> list[str]:
    return [Path(file.name).name for file in search(gallery.connection, query).files]


def test_keywords_of_people_come_first_then_labels_then_names(gallery: Gallery) -> None:
    assert find(gallery, "dog") == ["drawn.jpg", "rex.jpg", "tom.png", "snack.jpg", "beach.jpg"]
    scores = [file.score for file in search(gallery.connection, "dog").files]
    assert scores == [1.0, 0.9, 0.3, 0.99, None]


def test_a_label_with_exactly_that_name_comes_before_one_that_contains_it(gallery: Gallery) -> None:
    names = find(gallery, "dog")
    assert names.index("tom.png") < names.index("snack.jpg")


def test_label_means_the_exact_name_if_there_is_one(gallery: Gallery) -> None:
    assert find(gallery, "label:dog") == ["rex.jpg", "tom.png"]
    assert find(gallery, "label:hot") == ["snack.jpg"]
    assert find(gallery, "label:hotdog") == ["snack.jpg"]  # a synonym


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("dogs -snack -beach -drawn", ["rex.jpg", "tom.png"]),
        ("label:dog score>0.5", ["rex.jpg"]),
        ("label:dog -score>0.5", ["tom.png", "beach.jpg"]),
        ("label:dog score>=0.05", ["rex.jpg", "tom.png", "beach.jpg"]),
        ("label:cat,dog", ["rex.jpg", "tom.png", "drawn.jpg"]),
        ("label:dog label:cat", ["tom.png"]),
        ("label:dog -label:cat", ["rex.jpg"]),
        ("hot dog", ["snack.jpg"]),
        ('"hot dog"', ["snack.jpg"]),
        ("familia", ["rex.jpg"]),
        ("keyword:rex", ["IMG_1234.cr2", "rex.jpg"]),
        ("after:2024", ["tom.png"]),
        ("before:2024", ["snack.jpg"]),
        ("before:2024-06-30", ["snack.jpg"]),
        ("date:2024-06", ["tom.png"]),
        ("in:trip/", ["rex.jpg", "tom.png"]),
        ("in:/photos/trip", ["rex.jpg", "tom.png"]),
        ('in:"Dog Days"', ["beach.jpg"]),
        ("in:tr*", ["rex.jpg", "tom.png"]),
        ("type:raw", ["IMG_1234.cr2"]),
        ("img_12*", ["IMG_1234.cr2"]),
        ("img_12", []),
        ("score>0.97", ["snack.jpg"]),
        ("-type:jpeg -type:raw", ["tom.png"]),
        ("(cat OR coast) score>=0.4", ["beach.jpg", "tom.png", "drawn.jpg"]),
    ],
)
def test_a_query_finds(gallery: Gallery, query: str, names: list[str]) -> None:
    assert find(gallery, query) == names


def test_an_empty_query_finds_all_files_in_the_order_of_their_paths(gallery: Gallery) -> None:
    files = list(search(gallery.connection).files)
    assert [file.path for file in files] == sorted(entry.path.encode() for entry in ENTRIES)
    assert {file.score for file in files} == {None}


def test_decisions_are_about_the_label_of_the_conjunction(gallery: Gallery) -> None:
    gallery.reject("/photos/trip/rex.jpg", "dog")
    gallery.confirm("/photos/trip/tom.png", "dog")
    gallery.confirm("/photos/trip/rex.jpg", "mammal")
    assert find(gallery, "label:dog") == ["tom.png"]
    assert find(gallery, "label:dog is:confirmed") == ["tom.png"]
    assert find(gallery, "label:dog is:rejected") == ["rex.jpg"]
    assert find(gallery, "label:cat is:unreviewed") == ["tom.png", "drawn.jpg"]
    assert find(gallery, "is:confirmed") == ["rex.jpg", "tom.png"]
    assert find(gallery, "is:unreviewed") == ["beach.jpg", "drawn.jpg", "snack.jpg"]
    (tom,) = search(gallery.connection, "label:dog").files
    assert (tom.score, tom.labels[0].word, tom.labels[0].verdict) == (1.0, "dog", "confirmed")


def test_a_search_sees_what_changed_since_the_last_one(gallery: Gallery, tmp_path: Path) -> None:
    columns = Columns(gallery.connection)
    assert search(gallery.connection, "label:dog", columns=columns).total == 2
    gallery.reject("/photos/trip/rex.jpg", "dog")
    assert search(gallery.connection, "label:dog", columns=columns).total == 1
    with Gallery.open(tmp_path / "gallery.db") as other:  # as another process does
        other.reject("/photos/trip/tom.png", "dog")
    assert search(gallery.connection, "label:dog", columns=columns).total == 0


def test_a_decision_changes_what_was_read_before(gallery: Gallery) -> None:
    rex, tom, drawn = "/photos/trip/rex.jpg", "/photos/trip/tom.png", "/photos/other/drawn.jpg"
    queries = (
        "dog",
        "label:dog is:rejected",
        "label:cat score<1",
        "score>0.5",
        "buddy",
        "keyword:dog",
        "is:unreviewed",
    )
    steps: tuple[tuple[Callable[[str, str], str], str, str], ...] = (
        (gallery.reject, rex, "dog"),
        (gallery.confirm, tom, "cat"),
        (gallery.add, rex, "Buddy"),
        (gallery.reject, drawn, "Dog"),  # a keyword of the file
        (gallery.forget, rex, "dog"),
        (gallery.forget, rex, "Buddy"),
    )
    for decide, file, word in steps:
        for query in queries:
            list(gallery.search(query).files)
        decide(file, word)
        for query in queries:
            found, expected = gallery.search(query), search(gallery.connection, query)
            assert [(f.path, f.score) for f in found.files] == [(f.path, f.score) for f in expected.files]
            assert gallery.facets(query) == count_facets(gallery.connection, query)


def test_pages_follow_each_other(gallery: Gallery) -> None:
    names = find(gallery, "-hamster")
    first = search(gallery.connection, "-hamster", limit=4)
    second = search(gallery.connection, "-hamster", limit=4, offset=4)
    assert (first.total, second.total) == (6, 6)
    assert [Path(file.name).name for result in (first, second) for file in result.files] == names


def test_the_exact_words_are_not_stemmed(tmp_path: Path) -> None:
    entries = [
        Entry(path="/photos/a.jpg", keywords=("organs",)),
        Entry(path="/photos/b.jpg", keywords=("organ",)),
    ]
    with make_library(tmp_path / "other.db", entries) as gallery:
        assert find(gallery, "organ") == ["a.jpg", "b.jpg"]
        assert find(gallery, '"organ"') == ["b.jpg"]


def test_irregular_plurals_and_other_scripts(tmp_path: Path) -> None:
    entries = [
        Entry(path="/photos/a.jpg", keywords=("mouse", "Straße", "旅行")),
        Entry(path="/photos/b.jpg", scores={"goose": 0.9}),
    ]
    with make_library(tmp_path / "other.db", entries) as gallery:
        assert find(gallery, "mice") == ["a.jpg"]
        assert find(gallery, "STRAßE") == ["a.jpg"]
        assert find(gallery, "旅行") == ["a.jpg"]
        assert find(gallery, "geese") == ["b.jpg"]


def test_similar_takes_scores_of_contents(gallery: Gallery) -> None:
    (rex,) = gallery.connection.execute(
        "SELECT content_id FROM files WHERE path = ?", (b"/photos/trip/rex.jpg",)
    )
    asked = []

    def find_similar(path: str) -> dict[int, float]:
        asked.append(path)
        return {rex[0]: 0.75, 999: 0.5}

    files = list(search(gallery.connection, "similar:pic.jpg", find_similar=find_similar).files)
    assert asked == ["pic.jpg"]
    assert [(file.path, file.score) for file in files] == [(b"/photos/trip/rex.jpg", 0.75)]


def test_negative_pages_are_errors(gallery: Gallery) -> None:
    with pytest.raises(OptionError, match="can't be negative"):
        search(gallery.connection, "dog", offset=-1)


def test_facets_add_inside_and_narrow_each_other(gallery: Gallery) -> None:
    facets = count_facets(gallery.connection, "label:dog type:png")
    assert facets.total == 1
    assert {entry.value: entry.count for entry in facets.types} == {"jpeg": 1, "png": 1}
    assert {entry.value: entry.count for entry in facets.labels} == {"dog": 1, "cat": 1}
    assert [(entry.value, entry.count) for entry in facets.years] == [("2024", 1)]
    assert {entry.value: entry.count for entry in facets.states} == {"unreviewed": 1}


def test_the_counts_of_labels_have_the_score_of_the_query(gallery: Gallery) -> None:
    counts = {entry.value: entry.count for entry in count_facets(gallery.connection, "score>0.5").labels}
    assert counts == {"dog": 1, "mammal": 1, "cat": 1, "hot dog": 1, "coast": 1}


def test_an_empty_library_has_no_results(tmp_path: Path) -> None:
    with make_library(tmp_path / "empty.db") as gallery:
        assert find(gallery, "dog -cat in:trip score<0.5") == []
        assert count_facets(gallery.connection, "dog is:confirmed").total == 0
