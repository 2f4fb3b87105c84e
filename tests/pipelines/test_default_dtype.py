"""Without ``dtype`` the float32 weights are used, in the library, on the command line and over HTTP."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from pictag import ImageClassificationPipeline, pipeline
from pictag.benchmark.choices import choose_dtypes
from pictag.cli import main
from pictag.models.reference import parse_reference
from pictag.options import PipelineOptions
from pictag.sinks.jsonl import read_jsonl
from tinymodel import make_graph, make_image, make_tiny_model

HAS_SERVER = importlib.util.find_spec("starlette") is not None
OTHERS = ["int8", "q4", "fp16", "q8"]
OTHER_FILES = ["model_int8.onnx", "model_q4.onnx", "model_fp16.onnx", "model_quantized.onnx"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model in five dtypes: only that in float32 calls a red image red."""
    monkeypatch.chdir(tmp_path)
    make_image(Path("red.png"))
    folder = make_tiny_model(tmp_path / "model")
    for name in OTHER_FILES:
        onnx.save(make_graph(sharpness=-2.0), folder / "onnx" / name)
    return str(folder)


def best_label(classifier: ImageClassificationPipeline[Any]) -> str:
    (prediction,) = classifier.predict("red.png")
    return prediction.labels[0].label


def test_the_library_uses_float32(folder: str) -> None:
    assert PipelineOptions().dtype == "auto"
    with pipeline(model=folder) as classifier:
        assert (classifier.card.weights, classifier.card.dtype) == ("onnx/model.onnx", "fp32")
        assert best_label(classifier) == "red"
        assert [p.labels[0].label for p in classifier.predict(["red.png"] * 3)] == ["red"] * 3
        assert {p.labels[0].label for p in classifier.stream(["red.png"] * 3)} == {"red"}
    for dtype in OTHERS:
        with pipeline(model=folder, dtype=dtype) as classifier:
            assert best_label(classifier) != "red"


def test_the_command_line_uses_float32(folder: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "red.png", "-m", folder, "-o", "run.jsonl"]) == 0
    assert [prediction.labels[0].label for prediction in read_jsonl(Path("run.jsonl"))] == ["red"]
    assert main(["models", "inspect", folder, "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["dtype"] == "fp32"
    assert "q8 is a quarter of the size" in found["why"]


@pytest.mark.skipif(not HAS_SERVER, reason="pip install 'pictag[server]'")
def test_the_server_uses_float32(folder: str) -> None:
    from liveserver import ask, run_server

    with run_server(models=(f"m={folder}",), log_requests=False) as live:
        status, body = ask(live.port, "/", method="POST", body=Path("red.png").read_bytes())
        assert status == 200
        assert json.loads(body)[0]["label"] == "red"


def test_the_benchmark_measures_float32_first_and_names_each_dtype(folder: str) -> None:
    assert choose_dtypes(parse_reference(folder), None, cache_dir=None)[0] == "fp32"


def test_another_engine_uses_float32_too(folder: str) -> None:
    pytest.importorskip("openvino")
    onnx.save(make_graph(sharpness=-2.0), Path(folder) / "onnx" / "model_quantized_openvino.onnx")
    with pipeline(model=folder, engine="openvino") as classifier:
        assert best_label(classifier) == "red"


def test_without_float32_the_card_says_which_weights_are_used(folder: str) -> None:
    (Path(folder) / "onnx" / "model.onnx").unlink()
    with pipeline(model=folder) as classifier:
        assert classifier.card.dtype == "q8"
        assert "q8 is preferred to int8" in classifier.card.why
