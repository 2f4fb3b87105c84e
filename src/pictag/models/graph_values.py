"""What a graph's tensors hold, as far as its operations show: probabilities, logits, or neither for certain.

Each operation gives its result a kind by those of its inputs. What isn't listed here (a branch, a function, a
custom operation, a division by a computed sum) is ``unknown``: then only the numbers themselves can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pictag.models.graph_facts import CONVOLUTIONS, LINEAR, find_constants

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
_MAX_DEPTH = 64  # operations after the last layer, far more than exports have
_PASSING = _KEEPING | _ADDING | _SCALING | {"Clip"}
_SHAPELESS = frozenset({"Cast", "Identity", "Dropout", "Clip", "QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """The operation that gave a tensor its kind, and whether the tensor still has the shape of its result."""

    op: str
    attributes: Mapping[str, int | str]
    has_same_shape: bool


class TensorKinds:
    """The kinds of a graph's tensors, from those that are asked for back to where they are certain."""

    def __init__(self, graph: Graph) -> None:
        self._makers = {name: node for node in graph.nodes for name in node.outputs}
        self._constant = find_constants(graph)
        self._known: dict[str, Kind] = {}

    def find(self, name: str, depth: int = 0) -> Kind:
        """The kind of a tensor."""
        if name in self._constant:
            return "constant"
        if name not in self._known:
            self._known[name] = "unknown"  # ends a circle of values, which ONNX doesn't allow
            node = self._makers.get(name)
            if node is not None and depth < _MAX_DEPTH:
                self._known[name] = self._find(node, name, depth)
        return self._known[name]

    def find_maker(self, output: str) -> Maker:
        """The operation that gave an output its kind, such as a softmax before other operations."""
        node, has_same_shape = self._makers[output], True
        for _ in range(_MAX_DEPTH):
            kinds = ((name, self.find(name)) for name in node.inputs)
            before = next((name for name, kind in kinds if kind == self.find(output)), "")
            if node.op not in _PASSING or before not in self._makers:
                break
            has_same_shape &= node.op in _SHAPELESS
            node = self._makers[before]
        return Maker(op=node.op, attributes=node.attributes, has_same_shape=has_same_shape)

    def _find(self, node: Node, name: str, depth: int) -> Kind:
        if node.domain not in (_ONNX, _MICROSOFT) or (
            # Over the images of a batch it isn't the softmax of one image's labels.
            node.op in _ACTIVATIONS and node.attributes.get("axis") == 0
        ):
            return "unknown"
        if node.op == "DynamicQuantizeLinear" and name != node.outputs[0]:
            return "constant"  # the scale and the zero point
        if node.op in _RESULTS:
            return _RESULTS[node.op]
        if node.op in LINEAR or node.op in CONVOLUTIONS:
            return self._find_layers_kind(node)
        if node.op not in _PASSING:
            return "unknown"
        inputs = [self.find(name, depth + 1) for name in node.inputs]
        return _join(node.op, {kind for kind in inputs if kind != "constant"}, inputs)

    def _find_layers_kind(self, node: Node) -> Kind:
        """Constant weights make logits of anything but probabilities, which they may only add up."""
        data, weights = LINEAR.get(node.op) or CONVOLUTIONS[node.op]
        if len(node.inputs) <= weights or node.inputs[weights] not in self._constant:
            return "unknown"
        before = self._makers.get(node.inputs[data])
        for _ in range(_MAX_DEPTH):
            if before is None or not before.inputs or before.op not in _KEEPING:
                break
            before = self._makers.get(before.inputs[0])
        activation = node.attributes.get("activation", "")  # of a layer that ONNX Runtime fused
        if before is not None and before.op in _ACTIVATIONS:
            return "unknown"
        if activation in _ACTIVATIONS:
            return "probabilities"
        return "logits" if activation in ("", "Relu", "LeakyRelu") else "unknown"


def _join(op: str, varying: set[Kind], inputs: list[Kind]) -> Kind:
    """The kind that an operation makes of the kinds of its inputs that aren't constant."""
    if "ranked" in varying and (op in _PICKING or (len(varying) == 1 and op != "Clip")):
        return "ranked"
    if len(varying) != 1:
        return "unknown" if varying else "constant"
    (kind,) = varying
    if op in _KEEPING or (op == "Clip" and kind == "probabilities"):
        return kind
    is_logits = kind == "logits" and (op in _ADDING or (op in _SCALING and inputs.count("logits") == 1))
    return "logits" if is_logits else "unknown"
