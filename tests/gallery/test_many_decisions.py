"""Decisions about many images at once, and undoing them exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libraries import Entry, make_library
from pictag.errors import OptionError
from pictag.gallery import Gallery
from pictag.gallery.decisions import export_decisions
from pictag.gallery.many_decisions import DecisionChange, decide_all, rename_word, undo
from pictag.gallery.search import search

PHOTOS = [
    Entry(path="/photos/rex.jpg", scores={"dog": 0.9}, keywords=("Rex",)),
    Entry(path="/photos/tom.jpg", scores={"cat": 0.8}),
    Entry(path="/photos/both.jpg", scores={"dog": 0.6, "cat": 0.5}, decisions={"dog": "rejected"}),
    Entry(path="/photos/copy.jpg", scores={"dog": 0.9}, pixels=b"r" * 32),
    Entry(path="/photos/copy-2.jpg", scores={"dog": 0.9}, pixels=b"r" * 32),
    Entry(path="/photos/bad.jpg", error="broken"),
]
ALL = range(1, 7)


def decisions(gallery: Gallery) -> list[str]:
    return list(export_decisions(gallery.connection))


def state(gallery: Gallery) -> tuple[object, ...]:
    """Decisions, effective scores and the full text."""
    return tuple(
        gallery.connection.execute(query).fetchall()
        for query in (
            "SELECT * FROM decisions ORDER BY 1, 2",
            "SELECT content_id, meaning, score, verdict FROM scores JOIN terms ON id = term_id ORDER BY 1, 2",
            "SELECT rowid, people, labels, names FROM words ORDER BY rowid",
        )
    )


@pytest.fixture
def library(tmp_path: Path) -> Gallery:
    return make_library(tmp_path / "gallery.db", PHOTOS)


def found(gallery: Gallery, query: str) -> list[str]:
    return sorted(Path(file.name).name for file in search(gallery.connection, query).files)


def test_a_confirmed_word_is_added_where_an_image_does_not_have_it(library: Gallery) -> None:
    change = decide_all(library.connection, ALL, "dog", "confirmed")
    assert change.images == 4
    assert sorted(d.after[1] for d in change.decisions if d.after) == ["added", *["confirmed"] * 3]
    assert len(found(library, "label:dog is:confirmed")) == 5


def test_a_word_is_not_rejected_where_an_image_does_not_have_it(library: Gallery) -> None:
    change = decide_all(library.connection, ALL, "cat", "rejected")
    assert change.images == 2
    assert found(library, "label:cat") == []


def test_keywords_of_people_can_be_rejected(library: Gallery) -> None:
    decide_all(library.connection, [1], "rex", "rejected")
    assert found(library, "keyword:rex") == []


def test_what_is_decided_already_is_not_changed_again(library: Gallery) -> None:
    decide_all(library.connection, ALL, "sea", "added")
    before = decisions(library)
    assert decide_all(library.connection, ALL, "sea", "added") == DecisionChange()
    assert decisions(library) == before


def test_undo_puts_back_what_was_there_with_its_time(library: Gallery) -> None:
    before = state(library)
    change = decide_all(library.connection, ALL, "dog", "confirmed")
    undo(library.connection, change)
    assert state(library) == before


def test_undo_leaves_what_was_changed_again(library: Gallery) -> None:
    change = decide_all(library.connection, [1, 2], "sea", "added")
    decide_all(library.connection, [1], "sea", "rejected")
    after = [line for line in decisions(library) if '"rejected"' in line]
    assert undo(library.connection, change).images == 1
    assert decisions(library) == after


def test_a_word_is_renamed_in_all_images(library: Gallery) -> None:
    decide_all(library.connection, [1, 2], "Holliday", "added")
    decide_all(library.connection, [3], "Holiday", "rejected")
    change = rename_word(library.connection, "holliday", "Holiday")
    assert change.images == 2
    assert found(library, "keyword:holiday") == ["rex.jpg", "tom.jpg"]
    assert found(library, "keyword:holliday") == []
    undo(library.connection, change)
    assert found(library, "keyword:holliday") == ["rex.jpg", "tom.jpg"]
    with pytest.raises(OptionError, match="No image has the keyword"):
        rename_word(library.connection, "unknown", "known")


def test_the_spelling_of_a_word_can_be_changed(library: Gallery) -> None:
    decide_all(library.connection, [1], "sea side", "added")
    rename_word(library.connection, "sea side", "Sea Side")
    assert '"word": "Sea Side"' in "".join(decisions(library))
    (file,) = search(library.connection, "sea").files
    assert "Sea Side" in [label.word for label in file.labels]


@pytest.mark.parametrize("word", ["", "  ", "a, b", "a|b", "x" * 65, "!"])
def test_a_word_that_is_no_keyword_changes_nothing(library: Gallery, word: str) -> None:
    before = state(library)
    with pytest.raises(OptionError, match="can't be used"):
        decide_all(library.connection, ALL, word, "added")
    assert state(library) == before


STEPS = st.lists(
    st.tuples(
        st.sets(st.integers(1, 6), min_size=1),
        st.sampled_from(["dog", "cat", "Rex", "sea", "animal"]),
        st.sampled_from(["confirmed", "rejected", "added", None]),
    ),
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_any_steps_are_undone_exactly(tmp_path_factory: pytest.TempPathFactory, steps: list[object]) -> None:
    with make_library(tmp_path_factory.mktemp("undo") / "gallery.db", PHOTOS) as gallery:
        before = state(gallery)
        done = [decide_all(gallery.connection, *step) for step in steps]  # type: ignore[misc]
        for change in reversed(done):
            undo(gallery.connection, change)
        assert state(gallery) == before
