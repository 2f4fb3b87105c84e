"""Graphs are inspected, rejected, and edited without changing their results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from engines.tinygraphs import ATTENTION, CONVOLUTIONS, make_graph, make_samples
from pictag.engines.quantize_graph import (
    Graph,
    exclude_nodes,
    has_attention,
    list_quantized,
    load_graph,
    read_float_graph,
    suit_onnxruntime,
)
from pictag.engines.quantize_nncf import quantize_with_nncf
from pictag.engines.quantize_static import Ranges, quantize_statically
from pictag.errors import InvalidModel

pytestmark = pytest.mark.slow  # quantizing with nncf takes seconds


def run(graph: onnx.ModelProto) -> NDArray[np.float32]:
    """Scores of all samples, from the graph as it stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    return np.concatenate([session.run(None, {"pixel_values": s})[0] for s in make_samples()])


def save(graph: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(graph, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def smooth() -> Graph:
    graph = make_graph(ATTENTION)
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}_{number}"
    return quantize_with_nncf(graph, make_samples(), attention=True, target="vnni", on_sample=lambda _: None)


@pytest.mark.parametrize(("text", "expected"), [(ATTENTION, True), (CONVOLUTIONS, False)])
def test_attention_is_detected_in_the_graph(text: str, expected: bool) -> None:
    assert has_attention(make_graph(text)) is expected


def test_every_node_gets_a_unique_name(tmp_path: Path) -> None:
    graph = make_graph(CONVOLUTIONS)
    graph.graph.node[1].name = "Conv_0"
    names = [node.name for node in read_float_graph(save(graph, tmp_path)).graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test_an_old_graph_is_converted_so_that_it_can_have_one_scale_per_channel(tmp_path: Path) -> None:
    graph = make_graph(CONVOLUTIONS)
    graph.opset_import[0].version = 11
    graph.graph.node[-1].attribute.append(onnx.helper.make_attribute("axis", 1))
    newer = read_float_graph(save(graph, tmp_path))
    assert newer.opset_import[0].version >= 13
    assert np.allclose(run(newer), run(graph), atol=1e-6)


def _fix_batch(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _halve(graph: onnx.ModelProto) -> None:
    for tensor in graph.graph.initializer:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))


def _round(graph: onnx.ModelProto) -> None:
    graph.graph.node[1].op_type = "QuantizeLinear"


def _empty(graph: onnx.ModelProto) -> None:
    del graph.graph.node[:]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_fix_batch, "exactly 1 images at a time"),
        (_halve, "half precision"),
        (_round, "already quantized"),
        (_empty, "nothing to quantize"),
    ],
)
def test_graphs_that_cannot_be_quantized_are_rejected_with_the_reason(
    tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], said: str
) -> None:
    graph = make_graph(CONVOLUTIONS)
    spoil(graph)
    with pytest.raises(InvalidModel, match=said):
        read_float_graph(save(graph, tmp_path))


def test_a_damaged_file_is_an_invalid_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\xff\xff\xff not a graph")
    with pytest.raises(InvalidModel, match=r"model\.onnx"):
        read_float_graph(tmp_path / "model.onnx")


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "entropy"])
def test_each_method_gives_an_integer_graph_that_agrees(tmp_path: Path, ranges: Ranges) -> None:
    graph = read_float_graph(save(make_graph(CONVOLUTIONS), tmp_path))
    seen: list[int] = []
    file = quantize_statically(
        graph, make_samples(), ranges=ranges, target="vnni", folder=tmp_path, on_sample=seen.append
    )
    quantized = load_graph(file)
    assert len(list_quantized(quantized)) >= 3
    assert np.abs(run(quantized) - run(graph)).max() < 0.05
    assert seen == list(range(1, 13))
    assert file.stat().st_size
    assert not (tmp_path / "plain.onnx").exists()


@pytest.mark.parametrize(("target", "signed"), [("vnni", False), ("x86", False), ("arm", True)])
def test_integer_types_and_ranges_depend_on_the_target(tmp_path: Path, target: object, signed: bool) -> None:
    assert target in ("vnni", "x86", "arm")
    graph = read_float_graph(save(make_graph(CONVOLUTIONS), tmp_path))
    file = quantize_statically(
        graph, make_samples(4), ranges="minmax", target=target, folder=tmp_path, on_sample=lambda _: None
    )
    quantized = load_graph(file)
    tensors = {tensor.name: tensor for tensor in quantized.graph.initializer}
    rounded = [n for n in quantized.graph.node if n.op_type == "QuantizeLinear"]
    kinds = {tensors[node.input[2]].data_type for node in rounded}
    assert kinds == {TensorProto.INT8 if signed else TensorProto.UINT8}
    weights = [numpy_helper.to_array(t) for n, t in tensors.items() if n.endswith("_weight_quantized")]
    assert max(np.abs(w.astype(int)).max() for w in weights) == (64 if target == "x86" else 127)


def test_excluded_nodes_compute_in_float_again(tmp_path: Path) -> None:
    graph = read_float_graph(save(make_graph(CONVOLUTIONS), tmp_path))
    quantized = load_graph(
        quantize_statically(
            graph, make_samples(), ranges="minmax", target="vnni", folder=tmp_path, on_sample=lambda _: None
        )
    )
    names = list_quantized(quantized)
    one = exclude_nodes(quantized, names[:1])
    assert list_quantized(one) == names[1:]
    in_float = exclude_nodes(quantized, names)
    assert list_quantized(in_float) == ()
    original = run(graph)
    # What is left is the rounding of the weights.
    assert np.abs(run(in_float) - original).max() < np.abs(run(quantized) - original).max()
    assert list_quantized(quantized) == names  # the given graph is unchanged


def test_a_graph_adapted_to_onnx_runtime_gives_the_same_results(smooth: onnx.ModelProto) -> None:
    signed, unsigned = (suit_onnxruntime(smooth, signed=signed) for signed in (True, False))
    assert np.allclose(run(signed), run(unsigned), atol=1e-6)
    tensors = {tensor.name: tensor.data_type for tensor in unsigned.graph.initializer}
    rounded = [node for node in unsigned.graph.node if node.op_type == "QuantizeLinear"]
    assert rounded
    assert {tensors[node.input[2]] for node in rounded} == {TensorProto.UINT8}


def test_products_of_two_computed_tensors_stay_in_float_for_onnx_runtime(smooth: onnx.ModelProto) -> None:
    before, after = list_quantized(smooth), list_quantized(suit_onnxruntime(smooth, signed=False))
    products = {n.name for n in smooth.graph.node if n.op_type == "MatMul" and n.output[0] == "products"}
    assert products <= set(before)
    assert not products & set(after)
    assert len(after) >= 4  # the products with weights
