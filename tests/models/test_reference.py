"""Parsing the names of models."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.errors import ModelAccessDenied, ModelNotFound, OptionError, PictagError
from pictag.models.reference import (
    BUILT_IN,
    DEFAULT_MODEL,
    ModelRef,
    parse_hub_name,
    parse_reference,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_default_model_is_a_name_on_the_hub() -> None:
    assert parse_reference(DEFAULT_MODEL) == ModelRef(kind="hub", name=DEFAULT_MODEL)


def test_a_revision_is_given_in_the_name_or_as_an_argument() -> None:
    assert parse_reference("org/name@v1.0").revision == "v1.0"
    assert parse_reference("org/name", revision="refs/pr/1").revision == "refs/pr/1"
    assert parse_reference("org/name@v1.0", revision="v1.0").revision == "v1.0"
    assert str(parse_reference("org/name", revision="v1.0")) == "org/name@v1.0"


def test_two_different_revisions_are_an_error() -> None:
    with pytest.raises(OptionError, match="Give one of them"):
        parse_reference("org/name@v1", revision="v2")


def test_only_a_full_commit_is_pinned() -> None:
    assert parse_reference(f"org/name@{COMMIT.upper()}").revision == COMMIT
    assert parse_reference(f"org/name@{COMMIT}").is_pinned
    assert not parse_reference(f"org/name@{COMMIT[:12]}").is_pinned


def test_folders_and_files_are_found_in_every_notation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "net.onnx").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("org/name", "./org/name", "~/org/name", str(tmp_path / "org"), "org/../org/name"):
        assert parse_reference(text).kind == "folder", text
    assert parse_reference(tmp_path / "org").path == tmp_path / "org"
    for text in ("net.onnx", "./net.onnx", "~/net.onnx"):
        assert parse_reference(text).kind == "file", text


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_model_has_a_name_and_no_revision(name: str) -> None:
    assert parse_reference(name) == ModelRef(kind="built-in", name=name)
    with pytest.raises(OptionError, match="only models on the Hub have revisions"):
        parse_reference(name, revision="main")


@pytest.mark.parametrize("file", ["config.json", "labels.txt", "net.onnx"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_model_folder_named_like_a_built_in_model_is_never_shadowed(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert parse_reference(name).kind == "built-in"  # a folder, but not a model
    (tmp_path / name / file).touch()
    with pytest.raises(OptionError, match=re.escape(f"Give './{name}' for the folder")):
        parse_reference(name)
    for text in (f"./{name}", tmp_path / name, Path(name)):
        assert parse_reference(text).kind == "folder"


def test_a_misspelt_built_in_model_is_suggested() -> None:
    with pytest.raises(ModelNotFound, match="Did you mean 'efficientnet-lite0'"):
        parse_reference("efficientnetlite0")


def test_a_name_without_an_organisation_is_explained() -> None:
    with pytest.raises(ModelNotFound, match=f"start with an organisation, such as {DEFAULT_MODEL}"):
        parse_reference("resnet50")


def test_a_url_is_explained() -> None:
    with pytest.raises(OptionError, match="Give a model as org/name"):
        parse_reference("https://huggingface.co/org/name")


def test_a_file_of_another_kind_is_explained(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    with pytest.raises(OptionError, match=r"nor an \.onnx file"):
        parse_reference(str(tmp_path / "model.bin"))


@pytest.mark.parametrize(
    "name",
    [
        "../../etc",
        "%2e%2e/%2e%2e",
        "%2e%2e%2fetc",
        "a\x00b/c",
        "a/b\n",
        "a b/c",
        "a" * 5000,
        "a/" + "b" * 5000,
        "org/../name",
        "org--x/name",
        "org/name/more",
        "org/",
        "/",
        "-org/name",
        "org/name.git",
        "оrg/name",
        "",
        "  ",
        "@main",
    ],
)
def test_a_malicious_name_never_reaches_the_hub_or_the_disk(name: str) -> None:
    with pytest.raises((OptionError, ModelNotFound)) as caught:
        parse_hub_name(name)
    assert len(str(caught.value)) < 500
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["./nowhere", "/nowhere/at/all", "~nobody-of-that-name/x", "nowhere.onnx", "x" * 300]
)
def test_a_path_that_does_not_exist_is_not_found(name: str) -> None:
    with pytest.raises(ModelNotFound):
        parse_reference(name)


@pytest.mark.parametrize(
    "revision", ["", "..", "a/../b", "/etc", "a b", "a\x00", "-x", "x" * 300, "a\\b", "a~1"]
)
def test_a_revision_that_git_would_reject_is_an_error(revision: str) -> None:
    with pytest.raises(OptionError, match="not a branch, tag or commit"):
        parse_hub_name("org/name", revision=revision)


@pytest.mark.parametrize("value", [None, 3, b"org/name", ["org/name"]])
def test_a_value_that_is_not_a_string_is_an_option_error(value: object) -> None:
    with pytest.raises(OptionError):
        parse_reference(value)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_every_string_is_a_reference_or_a_pictag_error(text: str) -> None:
    try:
        ref = parse_hub_name(text)
    except PictagError:
        return
    assert ref.kind == "hub"
    assert ".." not in ref.name
    assert os.sep not in ref.name.replace("/", "", 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0)
    with pytest.raises(ModelAccessDenied, match="Permission denied") as caught:
        parse_reference(str(tmp_path / "private" / "model"))
    assert (caught.value.errno, caught.value.filename) == (errno.EACCES, str(tmp_path / "private" / "model"))


@pytest.mark.parametrize("name", ["./nowhere", "nowhere.onnx", "nowhere"])
def test_a_model_that_does_not_exist_has_errno_and_file_name(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        parse_reference(name)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, name)
