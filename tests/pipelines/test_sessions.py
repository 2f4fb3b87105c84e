"""Sessions are opened for the mode, once, and when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from pictag import pipeline
from pictag.engines.choose import THROUGHPUT_MIN_IMAGES
from pictag.errors import OptionError
from tinymodel import make_graph, make_image, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from pictag import ImageClassificationPipeline


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every session that is opened, as engine and mode."""
    from pictag.engines import onnxruntime, openvino

    seen: list[tuple[str, str]] = []
    for name, module in (("onnxruntime", onnxruntime), ("openvino", openvino)):
        real = module.open_session

        def open_session(*arguments: Any, name: str = name, real: Any = real, **options: Any) -> Any:
            seen.append((name, options["mode"]))
            return real(*arguments, **options)

        monkeypatch.setattr(module, "open_session", open_session)
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "model")


def make_static(folder: Path) -> Path:
    """Have the model round its means to 8 bits, as a calibrated graph does."""
    model = make_graph()
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.array(1 / 127, np.float32), "scale"),
            onnx.numpy_helper.from_array(np.array(0, np.int8), "zero"),
        ]
    )
    nodes = [
        model.graph.node[0],
        onnx.helper.make_node("QuantizeLinear", ["means", "scale", "zero"], ["rounded"]),
        onnx.helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["values"]),
        onnx.helper.make_node("MatMul", ["values", "weights"], ["logits"]),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, folder / "onnx" / "model.onnx")
    return folder


def classify(classifier: ImageClassificationPipeline, count: int, tmp_path: Path) -> set[str]:
    image = make_image(tmp_path / "red.png")
    return {prediction.labels[0].label for prediction in classifier.stream([image] * count)}


def test_few_images_are_done_with_the_session_that_is_open(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    with pipeline(model=folder, threads=2) as classifier:
        assert classify(classifier, THROUGHPUT_MIN_IMAGES - 1, tmp_path) == {"red"}
    assert opened == [("onnxruntime", "latency")]


def test_many_images_open_a_session_of_their_own_once(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    with pipeline(model=folder, threads=2) as classifier:
        for _ in range(2):
            assert classify(classifier, THROUGHPUT_MIN_IMAGES, tmp_path) == {"red"}
    assert opened == [("onnxruntime", "latency"), ("onnxruntime", "throughput")]


def test_a_job_that_is_said_opens_its_session_alone(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    with pipeline(model=folder, threads=2, mode="throughput") as classifier:
        assert classifier(make_image(tmp_path / "blue.png", "blue"))["label"] == "blue"
        assert classify(classifier, THROUGHPUT_MIN_IMAGES, tmp_path) == {"red"}
    assert opened == [("onnxruntime", "throughput")]


def test_calibrated_weights_go_to_openvino_where_there_are_many_images(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    with pipeline(model=make_static(folder), threads=2) as classifier:
        assert classify(classifier, THROUGHPUT_MIN_IMAGES, tmp_path) == {"red"}
        assert classifier.engine.name.startswith("onnxruntime")
    assert opened == [("onnxruntime", "latency"), ("openvino", "throughput")]


def test_one_thread_needs_one_session(folder: Path, tmp_path: Path, opened: list[tuple[str, str]]) -> None:
    with pipeline(model=folder, threads=1) as classifier:
        assert classify(classifier, THROUGHPUT_MIN_IMAGES, tmp_path) == {"red"}
    assert opened == [("onnxruntime", "latency")]


def test_an_iterator_is_many_images(folder: Path, tmp_path: Path, opened: list[tuple[str, str]]) -> None:
    image = make_image(tmp_path / "green.png", "green")
    with pipeline(model=folder, threads=2) as classifier:
        assert [entry["label"] for entry in classifier(iter([image]))] == ["green"]
    assert opened[-1] == ("onnxruntime", "throughput")


def test_bfloat16_is_openvinos_and_says_so(folder: Path) -> None:
    with pytest.raises(OptionError, match="engine='openvino'"):
        pipeline(model=folder, precision="bf16")


def test_bfloat16_scores_are_near(folder: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "red.png")
    try:
        rounded = pipeline(model=folder, engine="openvino", precision="bf16")
    except OptionError as error:
        assert "processor" in str(error)  # noqa: PT017 - what a processor without it has to say
        return
    assert "bf16" in rounded.engine.name
    assert rounded(image)["score"] == pytest.approx(pipeline(model=folder)(image)["score"], abs=0.02)


def test_the_compiled_graph_is_kept_where_it_was_asked_for(folder: Path, tmp_path: Path) -> None:
    with pipeline(model=folder, engine="openvino", compiled_cache=tmp_path / "compiled"):
        assert list((tmp_path / "compiled").iterdir())
