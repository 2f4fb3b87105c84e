"""The names under which models are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictag.errors import ModelNotFound, OptionError, PictagError
from pictag.options import PipelineOptions
from pictag.server.model_names import read_model
from pictag.server.settings import ServerSettings


@pytest.mark.parametrize(
    ("text", "name", "reference"),
    [
        ("embedded", "embedded", "embedded"),
        ("org/name@v1", "org/name", "org/name@v1"),
        ("photos=org/name@v1", "photos", "org/name@v1"),
        ("a/b=./folder", "a/b", "./folder"),
        ("mine=", None, None),
        ("=embedded", None, None),
        ("a/../b=embedded", None, None),
        ("a//b=embedded", None, None),
        ("a\nb=embedded", None, None),
    ],
)
def test_models_are_named(text: str, name: str | None, reference: str | None) -> None:
    if name is None:
        with pytest.raises(OptionError, match="NAME=REFERENCE"):
            read_model(text, ServerSettings())
    else:
        spec = read_model(text, ServerSettings())
        assert (spec.name, spec.options.model) == (name, reference)


@pytest.mark.parametrize("text", ["./nope", "/nope/nope", "nope.onnx", "./my=model", "~/no/such", "." * 9])
def test_a_missing_path_is_model_not_found(text: str) -> None:
    with pytest.raises(ModelNotFound, match=r"The model '.* doesn't exist|Unknown model '"):
        read_model(text, ServerSettings())


def test_a_name_that_is_too_long_for_a_path_is_an_ordinary_error() -> None:
    with pytest.raises(PictagError):
        read_model("a" * 5000, ServerSettings())
    assert read_model(f"name={'a' * 5000}", ServerSettings()).name == "name"


def test_the_current_folder_can_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vit-1.5").mkdir()
    monkeypatch.chdir(tmp_path / "vit-1.5")
    spec = read_model(".", ServerSettings())
    assert (spec.name, spec.options.model) == ("vit-1.5", ".")
    (tmp_path / "vit-1.5" / "vit-2.0.onnx").touch()
    assert read_model("vit-2.0.onnx", ServerSettings()).name == "vit-2.0"


def test_a_folder_without_a_name_needs_one() -> None:
    with pytest.raises(OptionError, match=r"'/' has no name\. Use NAME=/"):
        read_model("/", ServerSettings())


def test_a_folder_is_named_after_its_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my=model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_model("./my=model", ServerSettings()).name == "my=model"
    assert read_model("./my=model", ServerSettings()).options.model == "./my=model"


def test_the_settings_are_the_options_of_each_model() -> None:
    settings = ServerSettings(
        engine="onnxruntime", dtype="q8", decode="fast", threads=3, max_pixels=1000, offline=True
    )
    assert read_model("embedded", settings).options == PipelineOptions(
        model="embedded",
        mode="throughput",
        engine="onnxruntime",
        dtype="q8",
        decode="fast",
        threads=3,
        max_pixels=1000,
        local_files_only=True,
    )
