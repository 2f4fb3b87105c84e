"""What a graph's tensors hold, as far as its operations show: probabilities, logits, or neither for certain.

One pass over the nodes, which ONNX lists in the order of their dependencies. Each operation gives its result
a kind by those of its inputs. What isn't listed here (a branch, a function, a custom operation, a division by
a computed sum) is ``unknown``: then only the numbers themselves can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pictag.models.graph_facts import CONVOLUTIONS, LINEAR, SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pictag.models.graph_file import Graph, Node

Kind = Literal["probabilities", "logits", "ranked", "constant", "unknown"]
"""``ranked`` is sorted by score, or counts labels: its positions aren't those of the labels. ``constant``
doesn't depend on the scores: weights, shapes, and the scales of 8-bit numbers."""

_ONNX, _MICROSOFT = "", "com.microsoft"  # the domains whose operations are known here

# Their results are in 0…1.
_ACTIVATIONS = frozenset(
    {"Softmax", "Sigmoid", "HardSigmoid", "Hardmax", "QLinearSoftmax", "QLinearSigmoid", "BiasSoftmax"}
)
# Their results are values of their inputs, or means of these: what was a probability stays one.
_KEEPING = frozenset(
    {
        *("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout"),
        *(
            "Gather",
            "GatherElements",
            "GatherND",
            "Slice",
            "Split",
            "Concat",
            "Expand",
            "Tile",
            "Pad",
            "Where",
        ),
        *("Mean", "Max", "Min", "ReduceMean", "ReduceMax", "ReduceMin"),
        *("GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool"),
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
        *("QLinearGlobalAveragePool", "QLinearAveragePool", "QLinearConcat", "QLinearReduceMean"),
    }
)
# They move and stretch logits, but don't make probabilities of them.
_ADDING = frozenset(
    {
        *("Add", "Sub", "Sum", "Neg", "ReduceSum", "Relu", "LeakyRelu", "PRelu", "BatchNormalization"),
        *("QLinearAdd", "QLinearLeakyRelu"),
    }
)
_SCALING = frozenset({"Mul", "Div", "QLinearMul"})  # likewise, by a constant
# Operations whose results are of one kind, whatever they read. The softmax of logarithms of probabilities is
# the probabilities again, so a LogSoftmax makes logits.
_RESULTS: Mapping[str, Kind] = {
    **dict.fromkeys(_ACTIVATIONS, "probabilities"),
    "LogSoftmax": "logits",
    **dict.fromkeys(("TopK", "ArgMax", "ArgMin", "NonZero", "Unique", "NonMaxSuppression"), "ranked"),
}
_PICKING = frozenset({"Gather", "GatherElements", "GatherND"})
_PASSING = _KEEPING | _ADDING | _SCALING | {"Clip"}
_SHAPELESS = frozenset({"Cast", "Identity", "Dropout", "Clip", "QuantizeLinear", "DequantizeLinear"})


def find_kinds(graph: Graph) -> dict[str, Kind]:
    """The kind of each tensor that a node makes.

    A linear layer or a convolution with constant weights makes logits, unless it reads probabilities: those
    it may only add up.
    """
    kinds: dict[str, Kind] = dict.fromkeys(graph.weights, "constant")
    kinds[""] = "constant"  # an optional input that is left out
    for node in graph.nodes:
        kind = _find_kind(node, kinds)
        for output in node.outputs:
            kinds[output] = kind
        if node.op == "DynamicQuantizeLinear":  # the numbers, their scale and their zero point
            kinds.update(dict.fromkeys(node.outputs[1:], "constant"))
    return kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """The operation that gave a tensor its kind, and whether the tensor still has the shape of its result."""

    op: str
    attributes: Mapping[str, int | str]
    has_same_shape: bool


def find_maker(graph: Graph, kinds: Mapping[str, Kind], output: str) -> Maker:
    """The operation that gave a tensor its kind, such as a softmax before other operations."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    node, has_same_shape = makers[output], True
    for _ in range(len(graph.nodes)):
        before = next((name for name in node.inputs if kinds.get(name) == kinds[output]), "")
        if node.op not in _PASSING or before not in makers:
            break
        has_same_shape &= node.op in _SHAPELESS
        node = makers[before]
    return Maker(op=node.op, attributes=node.attributes, has_same_shape=has_same_shape)


def _find_kind(node: Node, kinds: Mapping[str, Kind]) -> Kind:
    inputs = [kinds.get(name, "unknown") for name in node.inputs]
    if node.op in SHAPES or all(kind == "constant" for kind in inputs):
        return "constant"
    if node.domain not in (_ONNX, _MICROSOFT):
        return "unknown"
    if node.op in _ACTIVATIONS and node.attributes.get("axis") == 0:
        return "unknown"  # over the images of a batch it isn't the softmax of one image's labels
    if node.op in _RESULTS:
        return _RESULTS[node.op]
    if node.op in LINEAR or node.op in CONVOLUTIONS:
        return _find_layers_kind(node, inputs)
    return _join(node.op, {kind for kind in inputs if kind != "constant"}, inputs)


def _find_layers_kind(node: Node, inputs: list[Kind]) -> Kind:
    data, weights = LINEAR.get(node.op) or CONVOLUTIONS[node.op]
    if len(inputs) <= weights or inputs[weights] != "constant" or inputs[data] in ("probabilities", "ranked"):
        return "unknown"
    activation = node.attributes.get("activation", "")  # of a layer that ONNX Runtime fused
    if activation in _ACTIVATIONS:
        return "probabilities"
    return "logits" if activation in ("", "Relu", "LeakyRelu") else "unknown"


def _join(op: str, varying: set[Kind], inputs: list[Kind]) -> Kind:
    """The kind that an operation makes of the kinds of its inputs that aren't constant."""
    if "ranked" in varying and (
        op in _PICKING or (len(varying) == 1 and op in _KEEPING | _ADDING | _SCALING)
    ):
        return "ranked"
    if len(varying) != 1:
        return "unknown"
    (kind,) = varying
    if op in _KEEPING or (op == "Clip" and kind == "probabilities"):
        return kind
    is_logits = kind == "logits" and (op in _ADDING or (op in _SCALING and inputs.count("logits") == 1))
    return "logits" if is_logits else "unknown"
