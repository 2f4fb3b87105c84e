"""Sessions are opened for the mode, once, and when they are needed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from pictag import pipeline
from pictag.engines.quantize_target import has_fast_int8
from pictag.engines.registry import choose_engine, list_installed
from pictag.errors import OptionError
from pictag.pipelines.runners import THROUGHPUT_MIN_IMAGES
from tinymodel import make_graph, make_image, make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pictag import ImageClassificationPipeline
    from pictag.options import EngineOptions


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every session that is opened, as engine and mode."""
    from pictag.engines import onnxruntime, openvino

    seen: list[tuple[str, str]] = []
    for name, module in (("onnxruntime", onnxruntime), ("openvino", openvino)):

        def open_session(
            weights: Path,
            options: EngineOptions,
            outputs: Sequence[str] = (),
            *,
            name: str = name,
            real: Any = module.open_session,
        ) -> Any:
            seen.append((name, options.mode))
            return real(weights, options, outputs)

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


def classify(classifier: ImageClassificationPipeline[Any], count: int, tmp_path: Path) -> set[str]:
    image = make_image(tmp_path / "red.png")
    return {prediction.labels[0].label for prediction in classifier.stream([image] * count)}


def test_few_images_use_the_session_that_is_open(
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


def test_a_session_is_opened_once_by_threads_that_need_it_together(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    image = make_image(tmp_path / "red.png")
    with pipeline(model=folder, threads=2) as classifier, ThreadPoolExecutor(4) as pool:
        for results in pool.map(lambda _: classifier(iter([image])), range(8)):
            assert [result["label"] for result in results if result] == ["red"]
    assert opened == [("onnxruntime", "latency"), ("onnxruntime", "throughput")]


def test_a_given_mode_opens_only_its_own_session(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    with pipeline(model=folder, threads=2, mode="throughput") as classifier:
        assert classifier.predict(make_image(tmp_path / "blue.png", "blue"))[0].labels[0].label == "blue"
        assert classify(classifier, THROUGHPUT_MIN_IMAGES, tmp_path) == {"red"}
    assert opened == [("onnxruntime", "throughput")]


@pytest.mark.parametrize("is_static", [False, True])
def test_the_engine_is_chosen_from_the_weights_and_never_by_the_number_of_images(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]], is_static: bool
) -> None:
    choice = choose_engine(
        "auto",
        quantization="static" if is_static else "none",
        device="cpu",
        installed=list_installed(),
        has_fast_int8=has_fast_int8(),
    )
    with pipeline(model=make_static(folder) if is_static else folder, threads=2) as classifier:
        assert opened == [(choice.name, "latency")]
        assert classify(classifier, THROUGHPUT_MIN_IMAGES, tmp_path) == {"red"}
        assert classifier.engine.name.startswith(choice.name)
    assert opened == [(choice.name, "latency"), (choice.name, "throughput")]


def test_one_thread_needs_one_session(folder: Path, tmp_path: Path, opened: list[tuple[str, str]]) -> None:
    with pipeline(model=folder, threads=1) as classifier:
        assert classify(classifier, THROUGHPUT_MIN_IMAGES, tmp_path) == {"red"}
    assert opened == [("onnxruntime", "latency")]


def test_an_iterator_counts_as_many_images(
    folder: Path, tmp_path: Path, opened: list[tuple[str, str]]
) -> None:
    image = make_image(tmp_path / "green.png", "green")
    with pipeline(model=folder, threads=2) as classifier:
        assert [entry["label"] for entry in classifier(iter([image])) if entry] == ["green"]
    assert opened[-1] == ("onnxruntime", "throughput")


def test_bfloat16_without_openvino_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(OptionError, match="engine='openvino'"):
        pipeline(model=folder, precision="bf16")


def test_bfloat16_scores_are_close(folder: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "red.png")
    try:
        rounded = pipeline(model=folder, engine="openvino", precision="bf16")
    except OptionError as error:
        assert "processor" in str(error)  # noqa: PT017 - what a processor without it has to say
        return
    assert "bf16" in rounded.engine.name
    (close,), (exact,) = rounded.predict(image), pipeline(model=folder).predict(image)
    assert close.labels[0].score == pytest.approx(exact.labels[0].score, abs=0.02)


def test_the_compiled_graph_is_kept_in_the_given_folder(folder: Path, tmp_path: Path) -> None:
    with pipeline(model=folder, engine="openvino", compiled_cache=tmp_path / "compiled"):
        assert list((tmp_path / "compiled").iterdir())
