"""The grammar of queries: what a text means, and what an error says and points at."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from pictag.errors import QueryError
from pictag.gallery import query as grammar
from pictag.gallery.query import (
    KEYS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_TERMS,
    STATES,
    TYPES,
    AllOf,
    AnyOf,
    Condition,
    Not,
    Score,
    Term,
    Words,
    parse,
)


def text(text: str) -> Words:
    return Words(text=text)


def condition(key: str, *values: str) -> Condition:
    return Condition(key=key, values=tuple(map(text, values)))


@pytest.mark.parametrize(
    "word",
    ["http://x", "C++", "don't", "T-shirt", "12:30", "C:\\photos", "saber_(fate)", "or", "score", "Größe:3"],
)
def test_what_does_not_look_like_a_key_is_text(word: str) -> None:
    assert parse(f"{word} dog").terms == (text(word), text("dog"))


def test_an_empty_query_has_no_terms() -> None:
    assert parse(" ") == AllOf()


def test_the_query_of_the_documentation() -> None:
    text_with_all = (
        "label:dog -label:cat score>0.5 after:2024 before:2024-06 is:confirmed in:trip/ type:raw "
        'similar:pic.jpg "exact words" (a OR b)'
    )
    assert parse(text_with_all).terms == (
        condition("label", "dog"),
        Not(term=condition("label", "cat")),
        Score(operator=">", number=0.5),
        condition("after", "2024"),
        condition("before", "2024-06"),
        condition("is", "confirmed"),
        condition("in", "trip/"),
        condition("type", "raw"),
        condition("similar", "pic.jpg"),
        Words(text="exact words", is_quoted=True),
        AnyOf(terms=(text("a"), text("b"))),
    )


@pytest.mark.parametrize(
    ("typed", "tree"),
    [
        ("a b OR c", AnyOf(terms=(AllOf(terms=(text("a"), text("b"))), text("c")))),
        ("a AND b", AllOf(terms=(text("a"), text("b")))),
        ("NOT a", Not(term=text("a"))),
        ("-(a OR b)", Not(term=AnyOf(terms=(text("a"), text("b"))))),
        ("type:JPG,tif", condition("type", "jpeg", "tiff")),
        ("Label:dog,cat", condition("label", "dog", "cat")),
        ('label:"hot dog"', Condition(key="label", values=(Words(text="hot dog", is_quoted=True),))),
        ("score > 50%", Score(operator=">", number=0.5)),
        ("score:0.5", Score(operator=">=", number=0.5)),
        ("-score>0.5", Score(operator="<=", number=0.5)),
        ("(((a)))", text("a")),
    ],
)
def test_a_term_means(typed: str, tree: Term) -> None:
    assert parse(typed) == (tree if isinstance(tree, AllOf) else AllOf(terms=(tree,)))


@pytest.mark.parametrize(
    ("typed", "marked", "message"),
    [
        ("dog lable:cat", "lable:", "Did you mean 'label'?"),
        ("dog colour:red", "colour:", "The keys are label, keyword,"),
        ("dog is:confirmd", "confirmd", "Did you mean 'confirmed'?"),
        ("type:png,jpge", "jpge", "Did you mean 'jpeg'?"),
        ("after:2024-13", "2024-13", "is not a date"),
        ("after:24", "24", "is not a date"),
        ("date:2024-02-30", "2024-02-30", "is not a date"),
        ("dog score=0.5", "score=0.5", "score>0.5"),
        ("score>high", "score>high", "score>0.5"),
        ("score>50", "50", "Did you mean 50%?"),
        ("score>500%", "500%", "between 0 and 1"),
        ("dog>0.5", "dog>0.5", "label:dog score>0.5"),
        ("dog label: cat", ":", "directly after the colon"),
        ("label:dog, cat", ",", "directly after the comma"),
        ('dog "hot', '"', "isn't closed"),
        ('dog ""', '""', "nothing between these quotes"),
        ("(dog OR cat", "(", "has no ')'"),
        ("dog) cat", ")", "has no '('"),
        (")", ")", "has no '('"),
        ("dog ()", "()", "nothing between these parentheses"),
        ("dog OR", "OR", "on both sides"),
        ("OR dog", "OR", "on both sides"),
        ("dog AND", "AND", "on both sides"),
        ("NOT", "NOT", "after it"),
        ("dog & cat", "&", "no letter or digit"),
        ("dog --cat", "--", "one '-'"),
    ],
)
def test_an_error_points_at_its_place(typed: str, marked: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(typed)
    error = caught.value
    assert message in str(error)
    assert (error.query, error.query[error.start : error.end]) == (typed, marked)


def test_an_error_keeps_its_place_when_it_is_pickled() -> None:
    with pytest.raises(QueryError) as caught:
        parse("dog lable:cat")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.query, copy.start, copy.end) == (str(caught.value), "dog lable:cat", 4, 10)


def test_deep_and_long_queries_are_errors() -> None:
    for typed in (
        "(" * (MAX_DEPTH + 1) + "a",
        "NOT " * MAX_DEPTH + "a",
        "a" * (MAX_CHARACTERS + 1),
        "a " * (MAX_TERMS + 1),
    ):
        with pytest.raises(QueryError):
            parse(typed)


def test_the_grammar_on_the_page_is_that_of_the_parser() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    (rules,) = re.findall(r"```text\n(query +=.*?)```", page, re.S)
    assert grammar.__doc__ is not None
    assert [line.strip() for line in rules.splitlines()] == re.findall(
        r"^ +(\w.* = .* ;)$", grammar.__doc__, re.M
    )


@pytest.mark.parametrize("key", [*KEYS, *TYPES, *STATES])
def test_every_key_and_value_is_on_the_page(key: str) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    assert re.search(rf"`{key}:?`", page)
