"""The error tree matches its drawing, and each leaf is also a built-in error."""

from __future__ import annotations

import builtins
import errno
import os
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag import errors

LEAVES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.PictagError)]


@pytest.mark.parametrize("error", LEAVES, ids=lambda c: c.__name__)
def test_every_error_is_documented(error: type[errors.PictagError]) -> None:
    assert error.__doc__
    assert error.__doc__.endswith(".")
    assert str(error("what happened")) == "what happened"


@pytest.mark.parametrize("error", LEAVES, ids=lambda c: c.__name__)
def test_the_drawing_shows_every_error_with_its_built_in_type(error: type[errors.PictagError]) -> None:
    assert errors.__doc__
    match = re.search(rf"\b{error.__name__}\b(?: \((\w+)\))?", errors.__doc__)
    assert match, f"{error.__name__} is not in the drawing"
    if match[1]:
        assert issubclass(error, getattr(builtins, match[1]))


@given(st.text(max_size=600), st.integers(2, 200))
def test_shortened_text_is_one_printable_line_within_the_limit(text: str, limit: int) -> None:
    short = errors.shorten(text, limit)
    assert len(short) <= limit
    assert short.isprintable()
    if text.isprintable() and len(text) <= limit:
        assert short == text


@given(st.text(max_size=100))
def test_escaped_text_is_one_printable_line(text: str) -> None:
    assert errors.escape(text).isprintable()
    if text.isprintable():
        assert errors.escape(text) == text


def test_a_suggestion_is_the_nearest_known_word_or_nothing() -> None:
    assert errors.suggest("topk", ["top_k", "timeout_s"]) == " Did you mean 'top_k'?"
    assert errors.suggest("colour", ["top_k", "timeout_s"]) == ""


@pytest.mark.parametrize(
    ("given", "known"),
    [("--labels", "--max-pixels"), ("--model", "--model-file"), ("--force", "--format")],
)
def test_a_word_that_is_only_remotely_similar_is_not_suggested(given: str, known: str) -> None:
    assert errors.suggest(given, [known]) == ""


def test_an_operating_system_error_keeps_its_message_errno_and_file_name_when_pickled() -> None:
    error = errors.OutputError("The disk is full.", errno=errno.ENOSPC, filename=Path("run.csv"))
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert (str(each), each.errno, each.filename) == ("The disk is full.", errno.ENOSPC, "run.csv")
        assert each.strerror == os.strerror(errno.ENOSPC)


@pytest.mark.parametrize("error", LEAVES, ids=lambda c: c.__name__)
def test_every_error_survives_pickling(error: type[errors.PictagError]) -> None:
    copy = pickle.loads(pickle.dumps(error("what happened")))
    assert (type(copy), str(copy)) == (error, "what happened")


@pytest.mark.parametrize("error", LEAVES, ids=lambda c: c.__name__)
def test_a_file_that_is_not_found_has_the_errno_that_python_gives_it(error: type[errors.PictagError]) -> None:
    raised = error("what happened")
    if isinstance(raised, FileNotFoundError):
        assert raised.errno == errno.ENOENT


def test_a_long_reason_keeps_its_beginning_and_its_end() -> None:
    reason = errors.shorten_reason("In graph.cc: " + "x" * 5000 + " max supported IR version: 14\n")
    assert reason.startswith("In graph.cc: ")
    assert reason.endswith("max supported IR version: 14")
    assert len(reason) <= errors.MAX_REASON_CHARACTERS + 1
