from __future__ import annotations

from hypothesis import given

from anyprediction import NAMES
from pictag.sinks.names import escape_name, restore_name


@given(NAMES)
def test_every_name_is_restored(name: str) -> None:
    assert restore_name(escape_name(name)) == name


@given(NAMES)
def test_an_escaped_name_is_valid_text(name: str) -> None:
    escape_name(name).encode("utf-8")


def test_ordinary_names_are_unchanged() -> None:
    for name in ("tiger.jpg", "C:\\users\\a.jpg", "\\\\server\\share", "Zoë 虎.jpg", "trailing\\"):
        assert escape_name(name) == name
