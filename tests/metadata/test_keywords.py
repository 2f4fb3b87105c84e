"""Which words are added, which are people's, and what a word is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.errors import OptionError
from pictag.metadata.keywords import (
    FileKeywords,
    Keyword,
    clean_word,
    combine,
    missing_entries,
    missing_words,
    without,
)

DOG = Keyword(("animal", "mammal", "dog"))


def test_a_keyword_is_the_last_word_of_its_path() -> None:
    assert (DOG.word, DOG.entry) == ("dog", "animal|mammal|dog")


def test_separators_of_hierarchies_are_replaced_in_words() -> None:
    assert Keyword(("AC/DC", "a|b")).path == ("AC-DC", "a-b")


@pytest.mark.parametrize("path", [(), ("",), ("animal", " \n"), ("\x00",)])
def test_an_empty_keyword_is_an_error(path: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="can't be empty"):
        Keyword(path)


@given(st.text())
def test_a_clean_word_stays_as_it_is(text: str) -> None:
    assert clean_word(clean_word(text)) == clean_word(text)


def test_a_word_that_differs_in_case_or_composition_is_already_there() -> None:
    assert missing_words(["dog", "Caf\u00e9", "sea"], ["Dog", "cafe\u0301"]) == ("sea",)


def test_an_entry_contains_its_broader_words() -> None:
    keywords = [Keyword(("animal",)), DOG, Keyword(("animal", "mammal")), Keyword(("sea",))]
    assert missing_entries(keywords, subject=[], entries=[]) == ("animal|mammal|dog", "sea")


def test_flat_words_of_people_get_an_entry_before_ours() -> None:
    assert missing_entries([DOG], subject=["Rex", "Dog"], entries=[]) == ("Rex", "animal|mammal|dog")


def test_a_word_in_a_hierarchy_of_people_gets_no_second_entry() -> None:
    assert missing_entries([DOG], subject=["Dog"], entries=["pets|Dog"]) == ()


def test_the_last_of_equal_words_is_removed() -> None:
    assert without(["dog", "sea", "dog", "dog"], ["dog", "dog"]) == ["dog", "sea"]


def test_a_word_that_people_wrote_in_one_place_is_theirs() -> None:
    image = FileKeywords(subject=("Rex",))
    sidecar = FileKeywords(subject=("Rex", "dog"), ours=("Rex", "dog"))
    both = combine([image, sidecar])
    assert (both.subject, both.ours, both.people) == (("Rex", "dog"), ("dog",), ("Rex",))
