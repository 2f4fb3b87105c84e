from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyprediction import NAMES as ANY_NAME
from pictag.sinks.escapes import NAMES, SHOWN_TEXT, Escaping

each_escaping = pytest.mark.parametrize("escaping", [NAMES, SHOWN_TEXT], ids=["names", "shown text"])
LOOKALIKES = st.text("\\u001bd8f9\x1b\ud800", max_size=12)


@each_escaping
@given(name=ANY_NAME | LOOKALIKES)
def test_every_name_is_restored(escaping: Escaping, name: str) -> None:
    assert escaping.restore(escaping.escape(name)) == name


@each_escaping
@given(name=ANY_NAME | LOOKALIKES)
def test_an_escaped_name_is_valid_text(escaping: Escaping, name: str) -> None:
    escaping.escape(name).encode("utf-8")


@given(ANY_NAME)
def test_shown_text_has_no_control_characters(text: str) -> None:
    shown = SHOWN_TEXT.escape(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E for c in shown)


@each_escaping
def test_ordinary_names_are_unchanged(escaping: Escaping) -> None:
    for name in ("tiger.jpg", "C:\\users\\a.jpg", "\\\\server\\share", "Zoë 虎.jpg", "trailing\\"):
        assert escaping.escape(name) == name
