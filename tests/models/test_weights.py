"""Which weights are chosen, and why."""

from __future__ import annotations

import pytest

from pictag.errors import ModelFileMissing, OptionError
from pictag.models.weights import SUFFIXES, choose_weights, is_inside

ALL = [f"onnx/model{suffix}.onnx" for suffix in SUFFIXES.values()]


@pytest.mark.parametrize(("dtype", "suffix"), SUFFIXES.items())
def test_each_dtype_has_the_hubs_file_name(dtype: str, suffix: str) -> None:
    choice = choose_weights(ALL, model="m", dtype=dtype)
    assert (choice.path, choice.dtype) == (f"onnx/model{suffix}.onnx", dtype)


@pytest.mark.parametrize(
    ("files", "device", "expected"),
    [
        (ALL, "cpu", "onnx/model.onnx"),
        (ALL[1:], "cpu", "onnx/model_quantized.onnx"),
        (["onnx/model_fp16.onnx", "onnx/model_uint8.onnx"], "cpu", "onnx/model_uint8.onnx"),
        (["onnx/model.onnx", "onnx/model_fp16.onnx"], "cpu", "onnx/model.onnx"),
        (ALL, "cuda", "onnx/model.onnx"),
        (ALL[1:], "cuda", "onnx/model_fp16.onnx"),
        (["onnx/model.onnx", "onnx/model_quantized.onnx"], "cuda", "onnx/model.onnx"),
        (["model.onnx"], "cpu", "model.onnx"),
        (["model.onnx", "onnx/model.onnx"], "cpu", "onnx/model.onnx"),
        (["README.md", "mobilenet.onnx"], "cpu", "mobilenet.onnx"),
    ],
)
def test_auto_chooses_float32_or_else_the_fastest_dtype(files: list[str], device: str, expected: str) -> None:
    choice = choose_weights(files, model="m", device=device)
    assert choice.path == expected


def test_the_reason_names_the_other_dtypes() -> None:
    choice = choose_weights(["onnx/model.onnx", "onnx/model_quantized.onnx"], model="m")
    assert choice.why == (
        "fp32 is preferred to q8 on a CPU (q8 is a quarter of the size and often faster, but how accurate it "
        "is depends on the model)"
    )
    without = choose_weights(["onnx/model.onnx", "onnx/model_fp16.onnx"], model="m")
    assert without.why == "fp32 is preferred to fp16 on a CPU"


def test_a_missing_dtype_names_the_existing_ones() -> None:
    with pytest.raises(ModelFileMissing, match=r"onnx/model\.onnx \(fp32\), onnx/model_q4\.onnx \(q4\)"):
        choose_weights(["onnx/model.onnx", "onnx/model_q4.onnx"], model="m", dtype="fp16")


def test_a_model_without_onnx_says_how_to_export_it() -> None:
    with pytest.raises(ModelFileMissing, match="optimum-cli export onnx"):
        choose_weights(["model.safetensors", "config.json"], model="org/name")


def test_several_files_without_a_standard_name_are_an_error() -> None:
    with pytest.raises(ModelFileMissing, match="Choose one with model_file"):
        choose_weights(["a.onnx", "b.onnx"], model="m")


def test_model_file_names_weights_with_or_without_the_folder() -> None:
    assert choose_weights(ALL, model="m", model_file="onnx/model_q4.onnx").dtype == "q4"
    assert choose_weights(ALL, model="m", model_file="model_q4.onnx").path == "onnx/model_q4.onnx"


@pytest.mark.parametrize(
    "name", ["../other/model.onnx", "/etc/model.onnx", "onnx\\model.onnx", "C:/model.onnx", ""]
)
def test_a_model_file_outside_the_model_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="outside of the model"):
        choose_weights(ALL, model="m", model_file=name)


def test_dtype_and_model_file_exclude_each_other() -> None:
    with pytest.raises(OptionError, match="not both"):
        choose_weights(ALL, model="m", dtype="fp32", model_file="model.onnx")


def test_an_unknown_dtype_gets_a_suggestion() -> None:
    with pytest.raises(OptionError, match="Did you mean 'fp16'"):
        choose_weights(ALL, model="m", dtype="pf16")


@pytest.mark.parametrize("path", ["a//b", "./a", "a/.", "a/..", "~/a", "a\x00b"])
def test_paths_that_are_not_normalized_do_not_count_as_inside(path: str) -> None:
    assert not is_inside(path)


TWO_OF_A_KIND = ["onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_quantized_openvino.onnx"]


@pytest.mark.parametrize(("dtype", "files"), [("auto", TWO_OF_A_KIND[1:]), ("q8", TWO_OF_A_KIND)])
def test_each_engine_gets_the_file_made_for_it(dtype: str, files: list[str]) -> None:
    def path(engine: str) -> str:
        return choose_weights(files, model="m", dtype=dtype, engine=engine).path

    assert path("openvino") == "onnx/model_quantized_openvino.onnx"
    assert path("onnxruntime") == "onnx/model_quantized.onnx"


def test_an_engine_without_its_own_file_gets_the_common_one() -> None:
    assert choose_weights(TWO_OF_A_KIND[1:2], model="m", engine="openvino").path == TWO_OF_A_KIND[1]


def test_a_file_for_openvino_is_not_used_by_another_engine() -> None:
    with pytest.raises(ModelFileMissing, match=r"model_quantized_openvino\.onnx \(q8\)"):
        choose_weights(TWO_OF_A_KIND[2:], model="m", dtype="q8")
