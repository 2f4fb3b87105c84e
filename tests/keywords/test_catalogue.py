"""Keyword catalogues of Lightroom and Photo Mechanic."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictag.errors import OptionError
from pictag.keywords.catalogue import parse_catalogue, read_catalogue, write_catalogue
from pictag.vocabulary import Concept, read_classes, read_concepts

TEXT = "[places]\n\tIceland\nanimals\n\tdog\n\t\t{hound}\n\t\t{Hund}\n\tcat\n"


def test_tabs_are_levels_braces_synonyms_and_brackets_are_not_exported() -> None:
    terms = parse_catalogue(TEXT).terms
    assert [term.path for term in terms] == [
        ("places",), ("places", "Iceland"), ("animals",), ("animals", "dog"), ("animals", "cat"),
    ]  # fmt: skip
    assert terms[3].synonyms == ("hound", "Hund")
    assert [term.exported for term in terms] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("dog", "dog"),
        ("Canis\n\t{DOG}", "Canis"),
        ("n02084071", "n02084071"),
        ("canine", "canine"),
        ("cat", None),
    ],
)
def test_a_concept_is_found_by_word_synonym_or_id(text: str, word: str | None) -> None:
    found = parse_catalogue(text).match(read_concepts()["dog"])
    assert (found and found.word) == word


def test_a_synonym_that_is_another_concepts_word_does_not_count() -> None:
    machine = next(term for term in read_classes() if term.word == "construction crane")
    catalogue = parse_catalogue("birds\n\tcrane\n")
    assert catalogue.match(machine, {"crane", "construction crane"}) is None
    assert catalogue.match(machine) is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encodings_that_programs_write_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "catalogue.txt"
    path.write_bytes("Höhle\r\n\tFledermaus\r\n".encode(encoding))
    assert read_catalogue(path).terms[1].path == ("Höhle", "Fledermaus")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\t\tdog\n", "line 1 is indented by 2 tabs"),
        (b"{dog}\n", "line 1 is a synonym of nothing"),
        (b"\n", "has no terms"),
        (b"H\xf6hle\n", "not UTF-8"),
    ],
)
def test_a_broken_catalogue_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "catalogue.txt"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=message) as error:
        read_catalogue(path)
    assert "catalogue.txt" in str(error.value)


def test_a_missing_catalogue_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Cannot read the vocabulary"):
        read_catalogue(tmp_path / "missing.txt")


def test_pictags_own_vocabulary_is_such_a_catalogue() -> None:
    catalogue = parse_catalogue(write_catalogue())
    paths = {term.path for term in catalogue.terms}
    assert {term.path for term in (*read_concepts().values(), *read_classes())} == paths
    assert len(paths) == len(catalogue.terms)
    dog = catalogue.match(read_concepts()["dog"])
    assert dog is not None
    assert dog.path == ("animal", "mammal", "dog")


def test_an_unknown_concept_is_not_in_it() -> None:
    assert parse_catalogue(TEXT).match(Concept(id=None, word="sea")) is None
