from __future__ import annotations

from pathlib import Path

import pytest

from pictag.benchmark.choices import choose_dtypes, choose_engines
from pictag.errors import MissingExtra, OptionError
from pictag.models.reference import parse_reference
from tinymodel import make_tiny_model


def test_the_installed_engines_are_measured_by_default() -> None:
    assert choose_engines(None, device="cpu", installed=["onnxruntime"]) == ("onnxruntime",)
    with pytest.raises(MissingExtra, match=r"pip install 'pictag\[openvino\]'"):
        choose_engines(["openvino"], device="cpu", installed=["onnxruntime"])


def test_a_gpu_has_one_engine() -> None:
    assert choose_engines(None, device="cuda") == ("onnxruntime",)
    with pytest.raises(OptionError, match="not available with engine='openvino'"):
        choose_engines(["openvino"], device="cuda")


def test_unknown_engines_and_devices_are_errors() -> None:
    with pytest.raises(OptionError, match="is not one of onnxruntime, openvino"):
        choose_engines(["auto"], device="cpu")
    with pytest.raises(OptionError, match="device='gpu'"):
        choose_engines(None, device="gpu")


def test_all_dtypes_of_a_folder_are_measured_by_default(tmp_path: Path) -> None:
    files = ("onnx/model_quantized.onnx", "onnx/model.onnx", "onnx/other.onnx")
    folder = make_tiny_model(tmp_path / "several", files=files)
    assert choose_dtypes(parse_reference(folder), None, cache_dir=None) == ("fp32", "q8")
    assert choose_dtypes(parse_reference(folder), ["q8", "q8"], cache_dir=None) == ("q8",)
    with pytest.raises(OptionError, match="Did you mean 'int8'"):
        choose_dtypes(parse_reference(folder), ["int9"], cache_dir=None)


def test_files_whose_names_state_no_dtype_are_measured_as_auto(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "one", files=("onnx/net.onnx",))
    assert choose_dtypes(parse_reference(folder), None, cache_dir=None) == ("auto",)
    file = parse_reference(folder / "onnx/net.onnx")
    assert choose_dtypes(file, None, cache_dir=None) == ("auto",)


def test_the_cached_dtypes_of_a_model_on_the_hub_are_measured(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--org--name"
    make_tiny_model(repository / "snapshots" / commit, files=("onnx/model_fp16.onnx",))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for name in ("org/name", f"org/name@{commit}"):
        assert choose_dtypes(parse_reference(name), None, cache_dir=tmp_path) == ("fp16",)
    for name in ("org/name@other", "org/another"):
        assert choose_dtypes(parse_reference(name), None, cache_dir=tmp_path) == ("auto",)
