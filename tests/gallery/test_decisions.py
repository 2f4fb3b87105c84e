"""People's decisions: about pixels, stronger than any model, and never lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery.conftest import Classifier, Find
from libraries import Entry, make_library, pixels_of
from pictag.errors import OptionError, UnreadableResults
from pictag.gallery import Gallery
from pictag.gallery.decisions import VERDICTS, export_decisions, import_decisions


@pytest.fixture
def indexed(gallery: Gallery, photos: Path, classifier: Classifier) -> Gallery:
    gallery.index([photos], classifier)
    return gallery


def words(gallery: Gallery, name: str) -> tuple[str, str]:
    """The words of people and the labels in a file's full text."""
    row: tuple[str, str] = gallery.connection.execute(
        "SELECT people, labels FROM words JOIN files ON files.id = words.rowid WHERE path_text LIKE ?",
        (f"%{name}",),
    ).fetchone()
    return row


def test_a_confirmed_label_has_score_1(indexed: Gallery, photos: Path) -> None:
    assert indexed.confirm(photos / "red.png", "Banana") == "banana"
    people, labels = words(indexed, "red.png")
    assert people == "banana"
    assert "banana" not in labels
    scores = indexed.connection.execute(
        "SELECT score, verdict FROM scores WHERE verdict IS NOT NULL"
    ).fetchall()
    assert scores == [(1.0, "confirmed")]


def test_a_rejected_label_is_not_found(indexed: Gallery, photos: Path, labelled: Find) -> None:
    assert labelled(indexed, "tabby cat") == ["red.png"]
    assert indexed.reject(photos / "red.png", "tabby") == "tabby cat"  # a synonym
    assert labelled(indexed, "tabby cat") == []
    assert "tabby" not in words(indexed, "red.png")[1]
    assert "cat" in words(indexed, "red.png")[1]


def test_an_added_word_is_found_by_any_spelling(indexed: Gallery, photos: Path, find: Find) -> None:
    assert indexed.add(photos / "red.png", "Tante  Käthe") == "Tante Käthe"
    assert find(indexed, "kathe") == ["red.png"]
    assert indexed.add(photos / "red.png", "TANTE KÄTHE") == "Tante Käthe"
    assert indexed.status()["decisions"] == 1


def test_a_decision_can_be_changed_and_forgotten(indexed: Gallery, photos: Path, labelled: Find) -> None:
    before = words(indexed, "red.png")
    indexed.reject(photos / "red.png", "tabby cat")
    indexed.confirm(photos / "red.png", "tabby cat")
    assert words(indexed, "red.png")[0].split("\n")[0] == "tabby cat"
    indexed.forget(photos / "red.png", "tabby cat")
    indexed.add(photos / "red.png", "Rex")
    indexed.forget(photos / "red.png", "rex")
    assert words(indexed, "red.png") == before
    with pytest.raises(OptionError, match="no decision about 'Rex'"):
        indexed.forget(photos / "red.png", "Rex")


def test_a_decision_holds_for_copies_and_after_a_rebuild(
    indexed: Gallery, photos: Path, classifier: Classifier, labelled: Find, tmp_path: Path
) -> None:
    indexed.reject(photos / "red.png", "tabby cat")
    shutil.copy(photos / "red.png", photos / "copy.png")
    indexed.index([photos], classifier)
    assert labelled(indexed, "tabby cat") == []
    with Gallery.open(tmp_path / "rebuilt.db", create=True) as rebuilt:
        lines = list(export_decisions(indexed.connection))
        assert import_decisions(rebuilt.connection, lines, name="lines") == (1, 0)
        rebuilt.index([photos], classifier)
        assert labelled(rebuilt, "tabby cat") == []
        assert len(labelled(rebuilt, "cat")) == 3


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("red.png", "tabby kat", "Did you mean 'tabby cat'?"),
        ("red.png", "zeppelin", "Use add for a word of your own"),
        ("missing.png", "cat", "is not in the library. Index its folder"),
    ],
)
def test_what_isnt_known_cant_be_confirmed(
    indexed: Gallery, photos: Path, name: str, word: str, message: str
) -> None:
    with pytest.raises(OptionError) as caught:
        indexed.confirm(photos / name, word)
    assert message in str(caught.value)
    assert indexed.status()["decisions"] == 0


@pytest.mark.parametrize("word", ["", "a, b", "a/b", "x" * 65])
def test_a_word_that_keywords_cant_have_is_refused(indexed: Gallery, photos: Path, word: str) -> None:
    with pytest.raises(OptionError, match="can't be used as it is"):
        indexed.add(photos / "red.png", word)


def test_a_failed_file_has_no_labels_to_decide_about(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    gallery.index([photos], classifier)
    with pytest.raises(OptionError, match="has no labels, because it failed"):
        gallery.add(photos / "broken.jpg", "Rex")


def test_a_rejected_keyword_of_a_person_is_not_found(tmp_path: Path) -> None:
    entry = Entry(path="/photos/a.jpg", keywords=("Rex",))
    with make_library(tmp_path / "gallery.db", [entry]) as gallery:
        gallery.reject("/photos/a.jpg", "rex")
        assert words(gallery, "a.jpg") == ("", "")


EXPORTED = {"pixels": "ab" * 32, "word": "dog", "verdict": "confirmed", "decided_at": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "3", '{"word": "dog"}',
        json.dumps(EXPORTED | {"verdict": "perhaps"}), json.dumps(EXPORTED | {"pixels": "ab"}),
        json.dumps(EXPORTED | {"word": ""}), json.dumps(EXPORTED | {"decided_at": "yesterday"}),
        json.dumps(EXPORTED | {"word": None}), json.dumps(EXPORTED | {"word": "\ud800"}),
        json.dumps(EXPORTED | {"word": " "}), json.dumps(EXPORTED | {"word": 3}),
        json.dumps({"dismissed": ["ab" * 32], "decided_at": "2026-01-02"}),
    ],
)  # fmt: skip
def test_an_invalid_line_imports_nothing(gallery: Gallery, line: str) -> None:
    with pytest.raises(UnreadableResults, match="backup, line 2: not a decision"):
        import_decisions(gallery.connection, [json.dumps(EXPORTED), line], name="backup")
    assert gallery.status()["decisions"] == 0


def test_the_later_of_two_decisions_stays(gallery: Gallery) -> None:
    later = EXPORTED | {"verdict": "rejected", "decided_at": "2026-01-02T05:04:05+01:00"}
    assert import_decisions(gallery.connection, [json.dumps(later)], name="") == (1, 0)
    assert import_decisions(gallery.connection, [json.dumps(EXPORTED)], name="") == (0, 1)
    assert '"rejected"' in next(export_decisions(gallery.connection))


@pytest.mark.parametrize("word", ["Paris/France", "one, two", "a|b", "♥", "long" * 20])
def test_a_confirmed_keyword_comes_back_from_an_export_as_it_was(tmp_path: Path, word: str) -> None:
    entry = Entry(path="/photos/a.jpg", keywords=(word,))
    with make_library(tmp_path / "a.db", [entry]) as one, make_library(tmp_path / "b.db", []) as other:
        one.confirm("/photos/a.jpg", word)
        lines = list(export_decisions(one.connection))
        assert import_decisions(other.connection, lines, name="lines") == (1, 0)
        assert next(export_decisions(other.connection)).startswith(lines[0].partition(', "path"')[0])


WORDS = st.sampled_from(["dog", "cat", "Rex", "Käthe", "T-shirt", "don't"])
PATHS = st.sampled_from([f"/photos/{name}.jpg" for name in "abc"])


@settings(max_examples=15)
@given(decisions=st.lists(st.tuples(PATHS, WORDS, st.sampled_from([*VERDICTS, None])), max_size=12))
def test_an_export_imports_as_the_same_decisions(
    tmp_path_factory: pytest.TempPathFactory, decisions: list[tuple[str, str, Any]]
) -> None:
    entries = [
        Entry(path=f"/photos/{name}.jpg", scores={"dog": 0.9, "cat": 0.1}, keywords=("Rex", "don't"))
        for name in "abc"
    ]
    folder = tmp_path_factory.mktemp("libraries")
    with make_library(folder / "a.db", entries) as one, make_library(folder / "b.db", entries) as other:
        expected: dict[tuple[bytes, str], str] = {}
        pixels = {entry.path: pixels_of(entry) for entry in entries}
        for path, word, verdict in decisions:
            key = (pixels[path], word)
            try:
                if verdict is None:
                    one.forget(path, word)
                    expected.pop(key)
                else:
                    {"confirmed": one.confirm, "rejected": one.reject, "added": one.add}[verdict](path, word)
                    expected[key] = verdict
            except OptionError:
                assert verdict is None or word in ("Käthe", "T-shirt")
        stored = one.connection.execute("SELECT pixels, word, verdict FROM decisions").fetchall()
        assert {(key, word): verdict for key, word, verdict in stored} == expected
        lines = list(export_decisions(one.connection))
        import_decisions(other.connection, lines, name="lines")
        assert list(export_decisions(other.connection)) == lines
        query = "SELECT rowid, * FROM words"
        assert other.connection.execute(query).fetchall() == one.connection.execute(query).fetchall()
