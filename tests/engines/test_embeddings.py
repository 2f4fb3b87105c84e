"""Embeddings of real models, compared with the part of the graph up to the same tensor.

`onnx.utils.Extractor` cuts the graph, and the engine's own package runs the part, without pictag's code.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from pictag import pipeline
from pictag.engines.quantize_target import has_fast_int8
from pictag.engines.registry import ENGINE_NAMES

pytestmark = [pytest.mark.shared, pytest.mark.slow]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
FLOAT, INT8 = 1e-5, 1e-3  # of the largest value of the embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model, the tensor that its last layer reads, and the axes that this layer doesn't contract."""

    model: str
    dtype: str
    tensor: str
    axes: tuple[int, ...]
    may_differ_by: float


CASES = [
    Case(
        model="mobilenet_v1_0.25_128",
        dtype="fp32",
        tensor="averagepool_163",
        axes=(2, 3),
        may_differ_by=FLOAT,
    ),
    Case(model="mobilenet_v2", dtype="fp32", tensor="reducemean_273", axes=(2, 3), may_differ_by=FLOAT),
    Case(model="mobilenet_v2", dtype="q8", tensor="reducemean_841", axes=(2, 3), may_differ_by=INT8),
    Case(model="mobilenet_v2", dtype="int8", tensor="reducemean_273", axes=(2, 3), may_differ_by=INT8),
    Case(model="nsfwjs_mobilenet_v2", dtype="fp32", tensor="dense_2_outr", axes=(), may_differ_by=FLOAT),
]


@pytest.fixture(scope="module")
def models(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared models, and MobileNetV2 with dynamically quantized weights (int8) too."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    folder = tmp_path_factory.mktemp("models")
    for name in {case.model for case in CASES}:
        shutil.copytree(shared / "models" / name, folder / name)
    weights = folder / "mobilenet_v2" / "onnx"
    quantization.quantize_dynamic(weights / "model.onnx", weights / "model_int8.onnx")
    return folder


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model}-{case.dtype}")
def test_embeddings_are_those_of_the_graph_cut_at_the_same_tensor(
    models: Path, shared: Path, engine: str, case: Case
) -> None:
    if find_spec(engine) is None:
        pytest.skip(f"needs pip install 'pictag[{engine}]'")
    photographs = sorted((shared / "images" / "gallery").glob("*.jpg"))[:6]
    options: dict[str, Any] = {
        "model": models / case.model,
        "dtype": case.dtype,
        "engine": engine,
        "batch_size": 1,
    }
    with pipeline(**options, embeddings=True) as embedder, pipeline(**options) as classifier:
        pixels = embedder.preprocess(photographs)
        cut = CUTTERS[engine](extract(embedder.model.weights, case.tensor))
        expected = np.concatenate([cut(one[None]).mean(axis=case.axes) for one in pixels])
        assert difference(embedder.embed(photographs), expected) <= case.may_differ_by
        streamed = [p.embedding for p in embedder.stream(photographs) if p.embedding is not None]
        assert difference(np.stack(streamed), expected) <= case.may_differ_by
        for one in pixels:
            assert difference(embedder.forward(one[None]), classifier.forward(one[None])) <= FLOAT


def extract(weights: Path, tensor: str) -> onnx.ModelProto:
    """The part of the graph up to a tensor."""
    model = onnx.shape_inference.infer_shapes(onnx.load(weights))
    names = {weight.name for weight in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in names]
    return onnx.utils.Extractor(model).extract_model(inputs, [tensor])


def cut_with_onnxruntime(part: onnx.ModelProto) -> Run:
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.x64quantprecision", "1")  # exact products without VNNI
    session = onnxruntime.InferenceSession(
        part.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    (name,) = (value.name for value in session.get_inputs())
    return lambda pixel_values: np.asarray(session.run(None, {name: pixel_values})[0])


def cut_with_openvino(part: onnx.ModelProto) -> Run:
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": has_fast_int8()}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(part.SerializeToString()), "CPU", settings)
    return lambda pixel_values: np.asarray(compiled(pixel_values)[0])


CUTTERS = {"onnxruntime": cut_with_onnxruntime, "openvino": cut_with_openvino}


def difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest difference, as a share of the largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
