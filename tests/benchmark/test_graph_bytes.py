from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from pictag.benchmark.graph_bytes import make_multiplication
from pictag.benchmark.records import Arithmetic


@pytest.mark.parametrize("arithmetic", ["float32", "int8"])
def test_the_bytes_are_a_graph_that_onnx_finds_nothing_wrong_with(arithmetic: Arithmetic) -> None:
    onnx.checker.check_model(onnx.load_from_string(make_multiplication(16, arithmetic)), full_check=True)


@pytest.mark.parametrize(("arithmetic", "scale"), [("float32", 1), ("int8", 0.0001)])
@pytest.mark.parametrize("side", [16, 300])
def test_the_graph_multiplies_with_its_weights(arithmetic: Arithmetic, scale: float, side: int) -> None:
    graph = make_multiplication(side, arithmetic)
    (weights, *_) = onnx.load_from_string(graph).graph.initializer
    matrix = np.eye(side, dtype=np.float32 if arithmetic == "float32" else np.uint8)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"a": matrix})
    expected = onnx.numpy_helper.to_array(weights).astype(np.float32) * np.float32(scale)
    np.testing.assert_allclose(product, expected, rtol=1e-4, atol=1e-6)
