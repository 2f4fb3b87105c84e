"""Labels of models as terms that people type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.vocabulary.labels import MAX_BYTES, clean_label


@pytest.mark.parametrize(
    ("label", "terms"),
    [
        ("tench, Tinca tinca", ("tench", "Tinca tinca")),
        ("/a/abbey 0", ("abbey",)),  # Places365, the list of categories
        ("/a/airport_terminal", ("airport terminal",)),
        ("/c/church/indoor", ("indoor church",)),
        ("church/outdoor", ("outdoor church",)),
        ("apple_pie", ("apple pie",)),  # Food-101
        ("long_hair", ("long hair",)),  # WD taggers
        ("1girl", ("1girl",)),
        (r"saber_\(fate\)", ("saber (fate)",)),
        ("^_^", ()),
        (":/", ()),
        ("hot dog, hot dog", ("hot dog",)),
        ("1,000 people", ("1 000 people",)),
        ("AC/DC", ("AC DC",)),
        ("12", ("12",)),
        ("cafe\u0301", ("café",)),
        ("", ()),
    ],
)
def test_a_label_becomes_its_terms(label: str, terms: tuple[str, ...]) -> None:
    assert clean_label(label) == terms


def test_a_long_term_is_cut_at_a_space() -> None:
    (term,) = clean_label("a very long name of something that nobody would ever type as a keyword at all")
    assert len(term.encode()) <= MAX_BYTES
    assert term == "a very long name of something that nobody would ever type as a"


@given(st.text())
def test_no_term_has_a_separator_or_is_too_long(label: str) -> None:
    for term in clean_label(label):
        assert not set(term) & set("|/,;\n\t")
        assert 0 < len(term.encode()) <= MAX_BYTES
        assert term == term.strip()
