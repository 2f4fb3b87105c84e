"""What a graph's tensors hold, in the forms that exporters and quantizers write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx.parser
import pytest
from onnx import TensorProto

from pictag.models.graph_file import Graph, Node, read_graph_file
from pictag.models.graph_values import TensorKinds

if TYPE_CHECKING:
    from pathlib import Path

# Pixels of 8 bits times weights of 8 bits, as dynamic quantization writes a linear layer.
DYNAMIC = """
q, scale, zero = DynamicQuantizeLinear(flat) i = MatMulInteger(q, w8, zero, wzero) f = Cast<to=1>(i)
both = Mul(scale, wscale) z = Mul(f, both)
"""
STATIC = "q = QuantizeLinear(flat, s, zp) d = DequantizeLinear(q, s, zp) wd = DequantizeLinear(w8, s, zp)"


def find_kind(tmp_path: Path, nodes: str, *weights: str) -> str:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1, "own" : 1]> '
        f"g (float[n,3,8,8] x) => (float[n,4] y) {{flat = Flatten(x) {nodes}}}"
    )
    for name in weights:
        model.graph.initializer.add(name=name, dims=[4, 4], data_type=TensorProto.FLOAT)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return TensorKinds(read_graph_file(tmp_path / "m.onnx")).find("y")


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Gemm(flat, w, b)",
        "z = MatMul(flat, w) y = Add(b, z)",
        "t = Transpose(w) z = MatMul(flat, t) y = Add(z, b)",
        "p = Softmax(flat) r = Relu(p) y = Gemm(r, w, b)",
        "h = Gemm(flat, w) e = Tanh(h) y = Gemm(e, v)",
        f"{DYNAMIC} y = Add(z, b)",
        f"{STATIC} z = MatMul(d, wd) q2 = QuantizeLinear(z, s, zp) y = DequantizeLinear(q2, s, zp)",
        "c = Conv(x, k) r = Relu(c) p = GlobalAveragePool(r) y = Flatten(p)",
        "z = Gemm(flat, w) v1 = Gemm(flat, v) s1 = Add(z, v1) y = Div(s1, b)",
        "z = Gemm(flat, w) s1 = Shape(z) y = Reshape(z, s1)",
        "z = Gemm(flat, w) y = BatchNormalization(z, b, b, b, b)",
        "z = Gemm(flat, w) y = LogSoftmax(z)",
        'y = com.microsoft.FusedGemm<activation="Relu">(flat, w)',
        "y = com.microsoft.MatMulNBits<K=4, N=4>(flat, w8, s)",
    ],
)
def test_the_last_layers_of_classifiers_make_logits(tmp_path: Path, nodes: str) -> None:
    assert find_kind(tmp_path, nodes, "w", "v", "b", "k", "w8", "wzero", "wscale", "s", "zp") == "logits"


@pytest.mark.parametrize(
    "nodes",
    [
        f"{DYNAMIC} y = Softmax(z)",
        f"{STATIC} z = MatMul(d, wd) p = Softmax(z) r = QuantizeLinear(p, s, zp) "
        "y = DequantizeLinear(r, s, zp)",
        "p = com.microsoft.QLinearSigmoid(flat, s, zp, s, zp) y = DequantizeLinear(p, s, zp)",
        "p = Sigmoid(flat) m = Softmax(flat) c = Concat<axis=0>(p, m) y = ReduceMean<axes=[0]>(c)",
        "p = Softmax(flat) y = Where(mask, p, zero)",
    ],
)
def test_activations_make_probabilities(tmp_path: Path, nodes: str) -> None:
    weights = ("w", "w8", "wzero", "wscale", "s", "zp", "mask", "zero")
    assert find_kind(tmp_path, nodes, *weights) == "probabilities"


@pytest.mark.parametrize(
    "nodes",
    [
        "y = MatMul(flat, flat)",
        "z = Gemm(flat, w) y = Exp(z)",
        "z = Gemm(flat, w) r = Relu(z) s = ReduceSum(r) y = Div(r, s)",
        "z = Gemm(flat, w) y = Clip(z, b, b)",
        "z = Gemm(flat, w) p = Softmax(z) y = Sub(z, p)",
        "z = Gemm(flat, w) p = Softmax(z) y = Mul(p, b)",
        "p = Softmax(flat) f = Flatten(p) y = Gemm(f, w)",
        "y = own.Softmax(flat)",
        "y = own.Gemm(flat, w)",
        "y = Sin(flat)",
        "y = Identity(x)",
    ],
)
def test_what_may_be_either_is_unknown(tmp_path: Path, nodes: str) -> None:
    assert find_kind(tmp_path, nodes, "w", "b") == "unknown"


def test_a_long_chain_and_a_circle_are_unknown() -> None:
    chain = [Node("Identity", (f"t{i}",), (f"t{i + 1}",)) for i in range(5000)]
    circle = [Node("Add", (f"t{(i + 1) % 50}", f"t{(i + 2) % 50}"), (f"t{i}",)) for i in range(50)]
    for nodes, name in ((chain, "t5000"), (circle, "t0")):
        assert TensorKinds(Graph(nodes=nodes)).find(name) == "unknown"
