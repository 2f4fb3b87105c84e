"""What follows from a graph's structure: its arithmetic, and the embedding's tensor."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper

from pictag.errors import InvalidModel, OptionError
from pictag.models.graph_facts import find_embedding, find_quantization
from pictag.models.graph_file import Graph, Node, read_graph_file
from pictag.models.graph_values import TensorKinds
from tinymodel import make_graph


def read(tmp_path: Path, model: onnx.ModelProto) -> Graph:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return read_graph_file(path)


def parse(
    tmp_path: Path, nodes: str, weights: dict[str, list[int]], *, outputs: str = "float[n,4] y"
) -> Graph:
    """The graph of these nodes with the input x [n, 3, 8, 8], and weights of these dimensions."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[n,3,8,8] x) => ({outputs}) {{{nodes}}}'
    )
    for name, dims in weights.items():
        model.graph.initializer.add(name=name, dims=dims, data_type=TensorProto.FLOAT)
    return read(tmp_path, model)


@pytest.mark.parametrize(
    ("operations", "quantization"),
    [
        (("DequantizeLinear",), "none"),  # weights that are stored in 8 bits alone
        (("QuantizeLinear", "DequantizeLinear"), "static"),
        (("QLinearConv",), "static"),
        (("DynamicQuantizeLinear", "MatMulInteger"), "dynamic"),
    ],
)
def test_a_graph_says_whether_it_computes_in_eight_bits(
    tmp_path: Path, operations: tuple[str, ...], quantization: str
) -> None:
    model = make_graph()
    for operation in operations:
        model.graph.node.append(helper.make_node(operation, ["means"], [operation]))
    assert find_quantization(read(tmp_path, model)) == quantization


@pytest.mark.parametrize(
    ("nodes", "weights", "name", "axis"),
    [
        ("p = GlobalAveragePool(x) e = Flatten(p) y = Gemm(e, w, b)", {"w": [4, 3], "b": [4]}, "e", -1),
        (
            "p = GlobalAveragePool(x) e = Flatten(p) z = MatMul(e, w) y = Add(b, z)",
            {"w": [3, 4], "b": [4]},
            "e",
            -1,
        ),
        # Only the last of several layers.
        (
            "p = Flatten(x) h = Gemm(p, v) e = Relu(h) z = Gemm(e, w) y = Softmax(z)",
            {"v": [192, 8], "w": [8, 4]},
            "e",
            -1,
        ),
        # SqueezeNet: the scores of each place are averaged.
        (
            "e = Relu(x) c = Conv(e, w, b) r = Relu(c) p = GlobalAveragePool(r) f = Flatten(p) "
            "y = Softmax(f)",
            {"w": [4, 3, 1, 1], "b": [4]},
            "e",
            1,
        ),
        # MobileNet: a convolution of [n, d, 1, 1].
        (
            "e = GlobalAveragePool(x) c = Conv(e, w) y = Squeeze(c, axes)",
            {"w": [4, 3, 1, 1], "axes": [2]},
            "e",
            1,
        ),
        ("p = Flatten(x) e = Relu(p) z = MatMul(e, w) y = Sigmoid(z)", {"w": [192, 4]}, "e", -1),
        # Tokens [n, t, d], whose scores are averaged.
        (
            "r = Reshape(x, shape) e = Transpose<perm=[0,2,1]>(r) z = MatMul(e, w) "
            "y = ReduceMean<axes=[1]>(z)",
            {"shape": [3], "w": [3, 4]},
            "e",
            -1,
        ),
        # Two heads with one input.
        (
            "e = Flatten(x) a = Gemm(e, w) b = Gemm(e, v) s = Add(a, b) y = Mul(s, half)",
            {"w": [192, 4], "v": [192, 4], "half": []},
            "e",
            -1,
        ),
        # The shape of the last reshaping is computed from other tensors.
        (
            "h = Relu(x) p = GlobalAveragePool(h) e = Flatten(p) z = Gemm(e, w) "
            "c = Conv<kernel_shape=[3,3]>(x, k) s = Shape(c) n = Gather(s, first) "
            "t = Concat<axis=0>(n, rest) y = Reshape(z, t)",
            {"w": [3, 4], "k": [2, 3, 3, 3], "first": [1], "rest": [1]},
            "e",
            -1,
        ),
        # The weights are computed from constants.
        (
            "e = Flatten(x) t = Transpose(w) f = Cast<to=1>(t) y = MatMul(e, f)",
            {"w": [4, 192]},
            "e",
            -1,
        ),
        (
            "c = Constant<value = float[1,3,1,1] {1.,2.,3.}>() e = Relu(x) z = Conv(e, c) y = Flatten(z)",
            {},
            "e",
            1,
        ),
        # After static quantization: the tensor before it.
        (
            "e = Flatten(x) q = QuantizeLinear(e, s, z) d = DequantizeLinear(q, s, z) "
            "w = DequantizeLinear(i, s, z) g = Gemm(d, w) h = QuantizeLinear(g, s, z) "
            "y = DequantizeLinear(h, s, z)",
            {"s": [], "z": [], "i": [192, 4]},
            "e",
            -1,
        ),
        (
            "e = GlobalAveragePool(x) q = QuantizeLinear(e, s, z) d = DequantizeLinear(q, s, z) "
            "w = DequantizeLinear(i, s, z) c = Conv(d, w) y = Flatten(c)",
            {"s": [], "z": [], "i": [4, 3, 1, 1]},
            "e",
            1,
        ),
        # After dynamic quantization, whose scale depends on the tensor too.
        (
            "f = Flatten(x) p, ps, pz = DynamicQuantizeLinear(f) pi = MatMulInteger(p, v, pz, z) "
            "pc = Cast<to=1>(pi) pm = Mul(ps, s) pf = Mul(pc, pm) e = Relu(pf) "
            "q, qs, qz = DynamicQuantizeLinear(e) qi = MatMulInteger(q, w, qz, z) qc = Cast<to=1>(qi) "
            "qm = Mul(qs, s) qf = Mul(qc, qm) y = Add(qf, b)",
            {"v": [192, 8], "w": [8, 4], "s": [], "z": [], "b": [4]},
            "e",
            -1,
        ),
        (
            "e = GlobalAveragePool(x) q, qs, qz = DynamicQuantizeLinear(e) qi = ConvInteger(q, w, qz, z) "
            "qc = Cast<to=1>(qi) qm = Mul(qs, s) qf = Mul(qc, qm) y = Flatten(qf)",
            {"w": [4, 3, 1, 1], "s": [], "z": []},
            "e",
            1,
        ),
        (
            "e = Flatten(x) q = QuantizeLinear(e, s, z) i = QLinearMatMul(q, s, z, w, s, z, s, z) "
            "y = DequantizeLinear(i, s, z)",
            {"w": [192, 4], "s": [], "z": []},
            "e",
            -1,
        ),
        (
            "e = GlobalAveragePool(x) q = QuantizeLinear(e, s, z) i = QLinearConv(q, s, z, w, s, z, s, z) "
            "f = Flatten(i) y = DequantizeLinear(f, s, z)",
            {"w": [4, 3, 1, 1], "s": [], "z": []},
            "e",
            1,
        ),
        (
            "e = Flatten(x) q = QuantizeLinear(e, s, z) i = com.microsoft.QGemm(q, s, z, w, s, z, b, s, z) "
            "y = DequantizeLinear(i, s, z)",
            {"w": [192, 4], "s": [], "z": [], "b": [4]},
            "e",
            -1,
        ),
        ("e = Flatten(x) y = com.microsoft.MatMulNBits(e, w, s)", {"w": [4, 1, 16], "s": [4]}, "e", -1),
    ],
)
def test_the_embedding_is_what_the_layer_of_the_scores_reads(
    tmp_path: Path, nodes: str, weights: dict[str, list[int]], name: str, axis: int
) -> None:
    embedding = find_embedding(parse(tmp_path, nodes, weights), "y")
    assert (embedding.name, embedding.axis) == (name, axis)


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        (
            "a = Flatten(x) r = Relu(x) b = Flatten(r) s = Gemm(a, w) t = Gemm(b, w) y = Add(s, t)",
            {"w": [192, 4]},
            "several layers compute them, from 'b', 'a'",
        ),
        ("p = GlobalAveragePool(x) y = Flatten(p)", {}, "no linear layer"),
        ("c = Conv(x, w) y = Flatten(c)", {"w": [4, 3, 8, 8]}, "larger kernel than 1×1"),
        # A product of two tensors that depend on the image.
        ("a = Flatten(x) b = Transpose(a) y = MatMul(a, b)", {}, "no linear layer"),
        # Integers all the way: they would need their scale.
        (
            "q = QuantizeLinear(x, s, z) p = com.microsoft.QLinearGlobalAveragePool(q, s, z, s, z) "
            "i = QLinearConv(p, s, z, w, s, z, s, z) f = Flatten(i) y = DequantizeLinear(f, s, z)",
            {"w": [4, 3, 1, 1], "s": [], "z": []},
            "8-bit integers 'p'",
        ),
    ],
)
def test_a_graph_without_one_embedding_is_an_error_that_names_the_option(
    tmp_path: Path, nodes: str, weights: dict[str, list[int]], reason: str
) -> None:
    with pytest.raises(OptionError, match=f"{reason}.* embedding_output="):
        find_embedding(parse(tmp_path, nodes, weights), "y")


def test_the_embedding_is_that_of_the_scores_and_not_of_another_output(tmp_path: Path) -> None:
    nodes = "maps = Conv(x, v) flat = Flatten(maps) y = Gemm(flat, w)"
    weights = {"v": [5, 3, 1, 1], "w": [320, 4]}
    graph = parse(tmp_path, nodes, weights, outputs="float[n,5,8,8] maps, float[n,4] y")
    assert find_embedding(graph, "y").name == "flat"


def test_any_tensor_can_be_the_embedding(tmp_path: Path) -> None:
    graph = parse(tmp_path, "features = Relu(x) e = Flatten(features) y = Gemm(e, w)", {"w": [192, 4]})
    embedding = find_embedding(graph, "y", asked="features")
    assert (embedding.name, embedding.axis) == ("features", None)
    with pytest.raises(OptionError, match=r"embedding_output='feature' .* Did you mean 'features'\?"):
        find_embedding(graph, "y", asked="feature")


@pytest.mark.slow
def test_hostile_graphs_are_answered() -> None:
    count = 20_000
    cycle = [Node("Conv", (f"t{i}", "w"), (f"t{(i + 1) % count}",)) for i in range(count)]
    weights = [Node("Relu", (f"w{i + 1}",), (f"w{i}",)) for i in range(count)]
    chain = [Node("Gemm", (f"t{i}", f"w{i}"), (f"t{i + 1}",)) for i in range(count)]
    for nodes in (cycle, cycle[::-1], weights + chain, chain):
        graph = Graph(nodes=nodes, outputs={"t0": None})
        with pytest.raises(OptionError):
            find_embedding(graph, "t0")
        assert TensorKinds(graph).find("t0") in ("unknown", "logits")


def test_a_graph_that_breaks_the_rules_of_onnx_is_an_error() -> None:
    with pytest.raises(InvalidModel):
        find_embedding(Graph(nodes=[Node("Conv", ("x",), ("y",))], outputs={"y": None}), "y")
