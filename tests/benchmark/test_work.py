from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pictag.benchmark.records import GraphWork
from pictag.benchmark.work import count_multiply_adds, count_work
from tinymodel import make_graph


def save(graph: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(graph, folder / "model.onnx")
    return folder / "model.onnx"


def make_quantized_convolution() -> onnx.ModelProto:
    """[N, 3, 8, 8] → a convolution of 8-bit integers, 3×3 to 4 channels, without padding."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero_w"], ["wf"]),
        helper.make_node("Conv", ["xf", "wf"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "scale", "zero"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "scale", "zero"], ["logits"]),
    ]
    weights = {
        "w": rng.integers(-9, 9, (4, 3, 3, 3), np.int8),
        "scale": np.float32(0.1),
        "zero": np.uint8(0),
        "zero_w": np.int8(0),
    }
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4, 6, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("operation", "inputs", "outputs", "expected"),
    [
        ("Conv", [[2, 8, 5, 5], [16, 1, 3, 3]], [[2, 16, 5, 5]], 2 * 16 * 25 * 9),  # depthwise
        ("QLinearConv", [[1, 3, 4, 4], [], [], [8, 3, 1, 1]], [[1, 8, 4, 4]], 8 * 16 * 3),
        ("ConvTranspose", [[1, 4, 2, 2], [4, 5, 2, 2]], [[1, 5, 4, 4]], 16 * 5 * 4),
        ("MatMul", [[2, 7, 11], [11, 13]], [[2, 7, 13]], 2 * 7 * 11 * 13),
        ("MatMul", [[2, 3, 7, 11], [2, 3, 11, 13]], [[2, 3, 7, 13]], 6 * 7 * 11 * 13),
        ("FusedMatMul", [[2, 3, 7, 11], [2, 3, 13, 11]], [[2, 3, 7, 13]], 6 * 7 * 11 * 13),
        ("Gemm", [[7, 11], [13, 11], [13]], [[7, 13]], 7 * 11 * 13),
        ("QLinearMatMul", [[7, 11], [], [], [11, 13]], [[7, 13]], 7 * 11 * 13),
        ("MatMulNBits", [[1, 7, 64], [13, 2, 16], [26]], [[1, 7, 13]], 7 * 64 * 13),
        ("Attention", [[1, 10, 12], [12, 36]], [[1, 10, 12]], 10 * 12 * 36 + 2 * 10 * 10 * 12),
        ("MultiHeadAttention", [[1, 10, 12], [1, 10, 12], [1, 10, 12]], [[1, 10, 12]], 2 * 10 * 10 * 12),
        ("Attention", [[1, 2, 10, 6], [1, 2, 10, 6], [1, 2, 10, 6]], [[1, 2, 10, 6]], 2 * 10 * 10 * 12),
        ("Add", [[1, 3, 8, 8], [1]], [[1, 3, 8, 8]], 0),
        ("MatMul", [[0, 3], [3, 2]], [[0, 2]], 0),
    ],
)  # fmt: skip
def test_each_operation_is_counted_from_its_shapes(
    operation: str, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]], expected: int
) -> None:
    assert count_multiply_adds(operation, inputs, outputs) == expected


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_a_graph_is_counted_for_one_image_whatever_its_batch(tmp_path: Path, batch: int | None) -> None:
    weights = save(make_graph(size=None, labels=5, batch=batch), tmp_path)
    work = count_work(weights, shape=(1, 3, 8, 8), layout="NCHW")
    assert work == GraphWork(multiply_adds=3 * 5, arithmetic="float32")


def test_a_quantised_graph_is_said_to_multiply_integers(tmp_path: Path) -> None:
    work = count_work(save(make_quantized_convolution(), tmp_path), shape=(1, 3, 8, 8), layout="NCHW")
    assert work == GraphWork(multiply_adds=4 * 36 * 27, arithmetic="int8")


def test_the_other_layout_has_its_channels_last(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["logits"])]
    graph = helper.make_graph(
        [helper.make_node("Transpose", ["nhwc"], ["x"], perm=[0, 3, 1, 2]), *nodes],
        "last",
        [helper.make_tensor_value_info("nhwc", TensorProto.FLOAT, ["n", "h", "w_", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2, "a", "b"])],
        [numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    work = count_work(save(model, tmp_path), shape=(1, 3, 8, 10), layout="NHWC")
    assert work == GraphWork(multiply_adds=2 * 6 * 8 * 27, arithmetic="float32")


def test_a_file_that_is_no_graph_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    assert count_work(tmp_path / "model.onnx", shape=(1, 3, 8, 8), layout="NCHW") is None


@pytest.mark.shared
@pytest.mark.parametrize(("name", "arithmetic"), [("model", "float32"), ("model_quantized", "int8")])
def test_mobilenet_costs_what_its_authors_state(shared: Path, name: str, arithmetic: str) -> None:
    work = count_work(shared / f"models/mobilenet_v2/onnx/{name}.onnx", shape=(1, 3, 224, 224), layout="NCHW")
    assert work is not None
    assert work.arithmetic == arithmetic
    assert work.multiply_adds == pytest.approx(300e6, rel=0.01)
