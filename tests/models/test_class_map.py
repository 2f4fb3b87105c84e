"""Class activation maps: their mean plus the bias is the logit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pictag import pipeline
from pictag.engines.registry import open_engine
from pictag.models.class_map import ClassMap, find_class_map
from pictag.models.graph_file import read_graph_file
from pictag.models.graph_weights import WeightReader
from pictag.options import EngineOptions

RNG = np.random.default_rng(7)
WEIGHTS = RNG.normal(size=(4, 3)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)


def save(folder: Path, nodes: str, weights: dict[str, NDArray[Any]], *, external: bool = False) -> Path:
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[n,3,8,8] x) => (float[n,4] y) {{{nodes}}}'
    )
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    path = folder / "model.onnx"
    onnx.save(model, path, save_as_external_data=external, size_threshold=0)
    return path


def find(path: Path) -> ClassMap | None:
    return find_class_map(path, read_graph_file(path), "y")


def run(path: Path, tensor: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The scores and the feature map of one random image."""
    image = RNG.normal(size=(1, 3, 8, 8)).astype(np.float32)
    engine = open_engine("onnxruntime", path, EngineOptions(), (tensor,))
    scores, features = engine.run(image)
    return scores[0], features[0]


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        (
            "f = Relu(x) p = GlobalAveragePool(f) e = Flatten(p) y = Gemm<transB=1>(e, w, b)",
            {"w": WEIGHTS, "b": BIAS},
        ),
        ("f = Relu(x) p = GlobalAveragePool(f) e = Flatten(p) y = Gemm(e, w)", {"w": WEIGHTS.T.copy()}),
        (
            "f = Relu(x) e = ReduceMean<axes=[2, 3], keepdims=0>(f) z = MatMul(e, w) y = Add(b, z)",
            {"w": WEIGHTS.T.copy(), "b": BIAS},
        ),
        (
            "f = Relu(x) p = AveragePool<kernel_shape=[8, 8]>(f) c = Conv(p, w, b) y = Flatten(c)",
            {"w": WEIGHTS[:, :, None, None], "b": BIAS},
        ),
        # Channels last, as tf2onnx exports.
        (
            "t = Transpose<perm=[0, 2, 3, 1]>(x) f = Relu(t) e = ReduceMean<axes=[1, 2], keepdims=0>(f) "
            "y = Gemm<transB=1>(e, w, b)",
            {"w": WEIGHTS, "b": BIAS},
        ),
        # One map for each label, as in SqueezeNet.
        (
            "c = Conv(x, w, b) f = Relu(c) p = GlobalAveragePool(f) y = Flatten(p)",
            {"w": WEIGHTS[:, :, None, None], "b": BIAS},
        ),
        # Weights in 8 bits, one scale for each label.
        (
            "f = Relu(x) p = GlobalAveragePool(f) e = Flatten(p) w = DequantizeLinear<axis=0>(q, s) "
            "y = Gemm<transB=1>(e, w, b)",
            {
                "q": (WEIGHTS * 40).round().astype(np.int8),
                "s": np.linspace(0.01, 0.04, 4, dtype=np.float32),
                "b": BIAS,
            },
        ),
        # Weights in 8 bits, as the embedded model has them.
        (
            "f = Relu(x) p = GlobalAveragePool(f) e = Flatten(p) v = Cast<to=1>(q) w = Mul(v, s) "
            "y = Gemm<transB=1>(e, w, b)",
            {"q": (WEIGHTS * 40).round().astype(np.int8), "s": np.full((4, 1), 0.025, np.float32), "b": BIAS},
        ),
    ],
)
def test_the_mean_of_a_map_plus_the_bias_is_the_logit(
    tmp_path: Path, nodes: str, weights: dict[str, NDArray[Any]]
) -> None:
    path = save(tmp_path, nodes, weights)
    class_map = find(path)
    assert class_map is not None
    scores, features = run(path, class_map.tensor)
    ordered = class_map.order(features, 4)
    assert ordered is not None
    bias = np.broadcast_to(class_map.bias, 4)
    for label in range(4):
        assert class_map.weigh(ordered, label).mean() + bias[label] == pytest.approx(scores[label], abs=1e-5)
    assert class_map.compute_logits(ordered) == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        "e = Flatten(x) y = Gemm(e, w)",  # no pooling
        "p = GlobalAveragePool(x) e = Flatten(p) h = Gemm(e, v) r = Relu(h) y = Gemm(r, w)",  # two layers
        "p = GlobalMaxPool(x) e = Flatten(p) y = Gemm(e, w)",
        "p = GlobalAveragePool(x) q = GlobalAveragePool(x) s = Mul(p, q) e = Flatten(s) y = Gemm(e, w)",
    ],
)
def test_other_heads_have_no_map(tmp_path: Path, nodes: str) -> None:
    path = save(tmp_path, nodes, {"w": np.zeros((3, 4), np.float32), "v": np.zeros((3, 3), np.float32)})
    assert find(path) is None


@pytest.mark.parametrize("kind", ["raw", "fields", "external", "float16"])
def test_weights_are_read_however_they_are_stored(tmp_path: Path, kind: str) -> None:
    values = WEIGHTS.astype(np.float16) if kind == "float16" else WEIGHTS
    path = save(tmp_path, "y = Flatten(x)", {"w": values}, external=kind == "external")
    if kind in ("fields", "float16"):
        model = onnx.load(path)
        model.graph.initializer[0].CopyFrom(
            onnx.helper.make_tensor("w", model.graph.initializer[0].data_type, values.shape, values.ravel())
        )
        onnx.save(model, path)
    found = WeightReader(path, read_graph_file(path)).read("w")
    assert found is not None
    assert np.array_equal(found, values)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "dtype", "difference"),
    [
        ("mobilenet_v2", "fp32", 1e-4),
        ("mobilenet_v2", "q8", 0.1),  # the graph rounds the logits to 8 bits
        ("mobilenet_v1_0.25_128", "fp32", 1e-4),
    ],
)
def test_the_logits_of_real_models_follow_from_their_maps(
    shared: Path, name: str, dtype: str, difference: float
) -> None:
    with pipeline(model=shared / "models" / name, dtype=dtype, engine="onnxruntime") as classifier:
        model = classifier.model
        assert model.output_name is not None
        class_map = find_class_map(model.weights, model.graph, model.output_name)
        assert class_map is not None
        engine = open_engine("onnxruntime", model.weights, EngineOptions(), (class_map.tensor,))
        photo = shared / "images" / "imagenet" / "0001_n01443537_goldfish.jpg"
        scores, features = engine.run(classifier.preprocess(photo))
        engine.close()
    ordered = class_map.order(features[0], len(model.labels))
    assert ordered is not None
    assert np.abs(class_map.compute_logits(ordered) - scores[0]).max() < difference
