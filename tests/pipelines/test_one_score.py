"""One image has one score: alone, in a list, in a stream, on the command line and over HTTP."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from pictag import pipeline
from pictag.cli import main
from pictag.pipelines.runners import THROUGHPUT_MIN_IMAGES
from pictag.sinks.jsonl import read_jsonl
from tinymodel import make_graph, make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pictag import ImageClassificationPipeline, Prediction
    from pictag.pipelines.results import LabelScore

pytestmark = pytest.mark.slow

HAS_SERVER = importlib.util.find_spec("starlette") is not None
LABELS = tuple(f"label {number}" for number in range(12))
# Seed, width, height: noise, whose scores change with every bit of the arithmetic.
IMAGES = st.lists(
    st.tuples(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=6
)

Scores = list[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A model's folder, its pipeline, and a server that has it where the extra is installed."""

    folder: Path
    classifier: ImageClassificationPipeline[Any]
    server: Any


def make_float(folder: Path) -> Path:
    return make_tiny_model(folder, labels=LABELS, sharpness=3.0)


def make_dynamic(folder: Path) -> Path:
    from onnxruntime.quantization import quantize_dynamic

    make_float(folder)
    path = folder / "onnx" / "model.onnx"
    quantize_dynamic(path, path)
    return folder


def make_static(folder: Path) -> Path:
    make_float(folder)
    model = make_graph(labels=len(LABELS), sharpness=3.0)
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.array(1 / 127, np.float32), "scale"),
            onnx.numpy_helper.from_array(np.array(0, np.int8), "zero"),
        ]
    )
    mean, product = model.graph.node
    rounding = [
        onnx.helper.make_node("QuantizeLinear", ["means", "scale", "zero"], ["rounded"]),
        onnx.helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["values"]),
    ]
    product.input[0] = "values"
    nodes = [mean, *rounding, product]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
    onnx.save(model, folder / "onnx" / "model.onnx")
    return folder


MAKERS = {"float": make_float, "dynamic": make_dynamic, "static": make_static}


@contextmanager
def installed(*, openvino: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if not openvino:
            patch.setitem(sys.modules, "openvino", None)  # as if it weren't installed
        yield


@pytest.fixture(scope="module", params=[True, False], ids=["with OpenVINO", "without OpenVINO"])
def openvino(request: pytest.FixtureRequest) -> Iterator[bool]:
    with installed(openvino=request.param):
        yield request.param


def open_setup(folder: Path, stack: ExitStack) -> Setup:
    server = None
    if HAS_SERVER:
        from asking import serve

        server = stack.enter_context(serve({"model": folder}))
    classifier: Any = stack.enter_context(pipeline(model=folder, threads=2))
    return Setup(folder=folder, classifier=classifier, server=server)


@pytest.fixture(scope="module", params=MAKERS)
def tiny(
    request: pytest.FixtureRequest, openvino: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setup]:
    with ExitStack() as stack:
        yield open_setup(MAKERS[request.param](tmp_path_factory.mktemp("model")), stack)


@pytest.fixture(
    scope="module",
    params=[("model.onnx", True), ("model_quantized.onnx", True), ("model_quantized.onnx", False)],
    ids=["float", "static with OpenVINO", "static without OpenVINO"],
)
def mobilenet(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setup]:
    source, folder = shared / "models" / "mobilenet_v2", tmp_path_factory.mktemp("mobilenet")
    weights, openvino = request.param
    (folder / "onnx").mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(source / name, folder / name)
    shutil.copy(source / "onnx" / weights, folder / "onnx" / "model.onnx")
    with installed(openvino=openvino), ExitStack() as stack:
        yield open_setup(folder, stack)


def write_noise(folder: Path, images: list[tuple[int, int, int]]) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = []
    for index, (seed, width, height) in enumerate(images):
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        path = folder / f"{index}.png"
        Image.fromarray(noise).save(path)
        paths.append(str(path))
    return paths


def of_entries(entries: Iterable[LabelScore]) -> Scores:
    return sorted((entry["label"], entry["score"]) for entry in entries)


def of_prediction(prediction: Prediction) -> Scores:
    assert prediction.error is None
    return sorted((label.label, label.score) for label in prediction.labels)


def ask_server(server: Any, path: str, *, label_count: int) -> Scores:
    from asking import ask

    with open(path, "rb") as file:  # noqa: PTH123
        inputs = base64.b64encode(file.read()).decode()
    body = json.dumps({"inputs": inputs, "parameters": {"top_k": label_count}})
    answer = ask(server, "POST", "/models/model", body, {"Content-Type": "application/json"})
    assert answer.status == 200, answer.body
    return of_entries(json.loads(answer.body))


def run_command(setup: Setup, paths: list[str], *more: str) -> list[Scores]:
    output = setup.folder / "labels.jsonl"
    arguments = ["--model", str(setup.folder), "--top-k", "all", "--output", str(output), "--overwrite"]
    assert main(["classify", *paths, *arguments, "--quiet", *more]) == 0
    return [of_prediction(prediction) for prediction in read_jsonl(output)]


def check_one_score(
    setup: Setup, paths: list[str], count: int, *, many_count: int = THROUGHPUT_MIN_IMAGES
) -> None:
    classifier = setup.classifier
    alone = [of_entries(classifier(path, top_k=None)) for path in paths]
    several = [paths[index % len(paths)] for index in range(count)]
    many = [paths[index % len(paths)] for index in range(many_count)]
    ways: dict[str, list[Scores]] = {
        "prediction": [of_prediction(classifier.predict(path, top_k=None)[0]) for path in paths],
        "short list": [of_entries(entries) for entries in classifier(several, top_k=None)],
        "long list": [of_entries(entries) for entries in classifier(many, top_k=None)],
        "stream": [of_prediction(p) for p in classifier.stream(iter(several), top_k=None)],
        "batches of three": [of_prediction(p) for p in classifier.predict(several, top_k=None, batch_size=3)],
        "command": run_command(setup, paths),
        "command with many images": run_command(setup, many, "--batch-size", "4"),
    }
    if setup.server is not None:
        ways["HTTP"] = [ask_server(setup.server, path, label_count=len(classifier.labels)) for path in paths]
    for way, found in ways.items():
        for index, scores in enumerate(found):
            expected = alone[index % len(paths)]
            assert [label for label, _ in scores] == [label for label, _ in expected], way
            difference = max(abs(a - b) for (_, a), (_, b) in zip(scores, expected, strict=True))
            assert difference <= 1e-5, f"{way}: image {index} differs by {difference}"


# Shrinking would run hundreds of examples to simplify a seed of noise.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
FEW = settings(
    max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=NO_SHRINKING
)


@FEW
@given(images=IMAGES, count=st.integers(1, 20))
def test_one_image_has_one_score(
    tiny: Setup, tmp_path: Path, images: list[tuple[int, int, int]], count: int
) -> None:
    check_one_score(tiny, write_noise(tmp_path / "images", images), count)


@pytest.mark.shared
@settings(FEW, max_examples=1)
@given(images=IMAGES, count=st.integers(4, 20))
def test_one_image_has_one_score_with_a_real_model(
    mobilenet: Setup, tmp_path: Path, images: list[tuple[int, int, int]], count: int
) -> None:
    # 256 images, as above, would take half a minute; streams use the same session.
    check_one_score(mobilenet, write_noise(tmp_path / "images", images), count, many_count=count)
