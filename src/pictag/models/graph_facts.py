"""What follows from a graph's structure: its arithmetic, and where its embedding is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.errors import InvalidModel, OptionError, shorten, suggest

if TYPE_CHECKING:
    from pictag.models.graph_file import Graph, Node
    from pictag.options import Layout, Quantization

# A graph that rounds what flows through it computes in 8 bits; others may only store their weights so.
_STATIC = frozenset({"QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
_DYNAMIC = "DynamicQuantizeLinear"

# Layers that may compute the scores: the positions of data and weights among their inputs.
LINEAR = {
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QGemm": (0, 3),
    "QLinearMatMul": (0, 3),
    # ONNX Runtime's own: 4-bit weights, and fused operations.
    "MatMulNBits": (0, 1),
    "MatMulBnb4": (0, 1),
    "DynamicQuantizeMatMul": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
    "FusedGemm": (0, 1),
    "FusedMatMul": (0, 1),
}
CONVOLUTIONS = {"Conv": (0, 1), "ConvInteger": (0, 1), "FusedConv": (0, 1), "QLinearConv": (0, 3)}
_INTEGER = frozenset(
    {"MatMulInteger", "MatMulIntegerToFloat", "QGemm", "QLinearMatMul", "ConvInteger", "QLinearConv"}
)
_QUANTIZERS = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
_SHAPES = frozenset({"Shape", "Size"})
_MAX_CHAIN = (
    8  # operations on weights, far more than exports have; without a limit, a hostile graph takes hours
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingTensor:
    """The tensor that is the embedding.

    ``axis`` is the one that the layer of the scores contracts: 1 for a convolution, -1 for a linear layer.
    ``None``: 1 for a map [N, D, height, width], otherwise -1.
    """

    name: str
    axis: int | None


def find_layout(graph: Graph) -> Layout:
    """Where the channels of the graph's input are: first, unless its shape says that they are last."""
    shape = graph.input_shape
    is_last = shape is not None and len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)
    return "NHWC" if is_last else "NCHW"


def find_quantization(graph: Graph) -> Quantization:
    """Whether a graph computes in 8-bit integers, and if its ranges are calibrated or computed as it runs."""
    ops = {node.op for node in graph.nodes}
    if _DYNAMIC in ops:
        return "dynamic"
    return "none" if ops.isdisjoint(_STATIC) else "static"


def find_embedding(graph: Graph, scores: str, *, asked: str | None = None) -> EmbeddingTensor:
    """The embedding: the input of the layer that computes the ``scores``, or the tensor that was ``asked``
    for.

    From the scores back, this is the first linear layer or 1×1 convolution with constant weights. If it
    computes in integers, its embedding is the tensor before quantization. Raises `OptionError`, which names
    ``embedding_output=``, if there is no such layer, or several that read different tensors.
    """
    producers = _list_producers(graph)
    if asked is not None:
        if asked not in producers:
            raise OptionError(
                f"embedding_output={shorten(repr(asked))} is not a tensor of the graph."
                f"{suggest(asked, producers) or ' A viewer such as Netron shows its tensors.'}"
            )
        return EmbeddingTensor(name=asked, axis=None)
    constant = find_constants(graph)
    found: dict[EmbeddingTensor, None] = {}
    needed, read = {scores}, set[str]()
    for node in reversed(graph.nodes):  # in topological order, so whatever reads a tensor comes before it
        if not any(output in needed and output not in read for output in node.outputs):
            continue
        if node.op in CONVOLUTIONS or _has_constant_weights(node, constant):
            head = _read_head(node, graph, producers)
            found[head] = None
            read.add(head.name)
        else:
            needed.update(tensor for tensor in node.inputs if tensor not in constant)
    if not found:
        raise _no_embedding("no linear layer computes them")
    if len(found) > 1:
        names = ", ".join(shorten(repr(head.name), 60) for head in found)
        raise _no_embedding(f"several layers compute them, from {shorten(names)}")
    return next(iter(found))


def _has_constant_weights(node: Node, constant: set[str]) -> bool:
    positions = LINEAR.get(node.op)
    if positions is None or len(node.inputs) <= positions[1]:
        return False
    data, weights = (node.inputs[position] for position in positions)
    return weights in constant and data not in constant


def _read_head(node: Node, graph: Graph, producers: dict[str, Node]) -> EmbeddingTensor:
    """The tensor that a linear layer or a convolution reads."""
    is_convolution = node.op in CONVOLUTIONS
    positions = CONVOLUTIONS[node.op] if is_convolution else LINEAR[node.op]
    if len(node.inputs) <= positions[1]:
        raise InvalidModel(f"The graph has a {node.op} without weights.")
    data, weights = (node.inputs[position] for position in positions)
    if is_convolution and any(side != 1 for side in _find_dims(weights, graph, producers)[2:]):
        raise _no_embedding("a convolution with a larger kernel than 1×1 computes them")
    before = _before_quantization(data, producers)
    if before is None and node.op in _INTEGER:
        raise _no_embedding(f"that is the 8-bit integers {shorten(repr(data), 60)} here")
    return EmbeddingTensor(name=before or data, axis=1 if is_convolution else -1)


def _before_quantization(name: str, producers: dict[str, Node]) -> str | None:
    """The float tensor that was quantized to this one, directly or dequantized again."""
    node = producers.get(name)
    if node is not None and node.op == "DequantizeLinear" and node.inputs:
        node = producers.get(node.inputs[0])
    return node.inputs[0] if node is not None and node.op in _QUANTIZERS and node.inputs else None


def _no_embedding(reason: str) -> OptionError:
    return OptionError(
        f"The embedding is the input of the layer that computes the scores, and {reason}. "
        "Name a tensor of the graph with embedding_output=."
    )


def _find_dims(name: str, graph: Graph, producers: dict[str, Node]) -> tuple[int, ...]:
    """The dimensions of constant weights, which may be dequantized or cast first."""
    for _ in range(_MAX_CHAIN):
        if name in graph.weights:
            return graph.weights[name]
        node = producers.get(name)
        if node is None or not node.inputs:
            break
        name = node.inputs[0]
    return (0, 0, 0, 0)  # unknown


def find_constants(graph: Graph) -> set[str]:
    """Tensors that don't depend on the pixels: weights, shapes, and what is computed from these."""
    constant = set(graph.weights) | {""}
    for node in graph.nodes:
        if node.op in _SHAPES or constant.issuperset(node.inputs):
            constant.update(node.outputs)
    return constant


def _list_producers(graph: Graph) -> dict[str, Node]:
    return {output: node for node in graph.nodes for output in node.outputs}
