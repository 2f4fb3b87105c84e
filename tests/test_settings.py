from __future__ import annotations

import pytest

from pictag.errors import OptionError
from pictag.settings import Settings, read_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"PICTAG_MODEL": " ", "PICTAG_DEBUG": ""}) == Settings()


@pytest.mark.parametrize(("text", "meaning"), [("1", True), ("Yes", True), ("off", False), ("0", False)])
def test_booleans_have_several_spellings(text: str, meaning: bool) -> None:
    assert read_settings({"PICTAG_DEBUG": text}).debug is meaning


def test_the_error_for_an_invalid_value_names_the_variable() -> None:
    with pytest.raises(OptionError, match="PICTAG_DEBUG='perhaps'"):
        read_settings({"PICTAG_DEBUG": "perhaps"})


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTAG_MODEL", "embedded")
    assert read_settings().model == "embedded"
