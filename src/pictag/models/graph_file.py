"""Facts about an ``.onnx`` file, read from its bytes without loading the weights.

ONNX is protobuf. Only a few fields are needed, so the wire format is read directly from a memory map: weights
are skipped, never copied, and a file of gigabytes takes no longer than its list of nodes. Field numbers are
those of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pictag.errors import InvalidModel, ModelFileMissing, shorten

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 200

# Operations after the activation that don't change the meaning of the output.
_TRANSPARENT = frozenset(
    {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear"}
)
_PROBABILITY = frozenset({"Softmax", "Sigmoid", "QLinearSigmoid", "QLinearSoftmax"})

# Operations that round activations, so that the graph computes in 8 bits. Weights alone may be stored so.
_STATIC = frozenset({"QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
_DYNAMIC = "DynamicQuantizeLinear"

# The fields of each message that can contain a tensor, by number.
_CONTAINERS = {
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}  # fmt: skip

Quantization = Literal["none", "static", "dynamic"]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """Facts about a graph.

    ``external`` lists the files that contain its weights, as the graph names them; ``metadata`` is its free
    text. ``activation`` is the operation that turns the output into probabilities (``Softmax`` or
    ``Sigmoid``), or ``None``. ``input_shape`` is the shape of the first input that isn't a weight, with
    ``None`` for a variable dimension; it is ``None`` if the graph doesn't state it. ``quantization`` says
    whether the graph computes in 8-bit integers: with calibrated ranges (``static``), or with ranges that it
    finds for each batch (``dynamic``).
    """

    external: tuple[str, ...]
    metadata: dict[str, str]
    activation: str | None
    input_shape: tuple[int | None, ...] | None
    quantization: Quantization


def read_graph_file(path: Path) -> GraphFacts:
    """Read an ``.onnx`` file's external files and facts. Raises `InvalidModel` if it isn't ONNX."""
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise InvalidModel(f"{shorten(path)} is empty, so it is not an ONNX model.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data, path).facts()
    except FileNotFoundError as error:
        raise ModelFileMissing(f"There is no file {shorten(path)}.") from error
    except OSError as error:
        raise InvalidModel(f"{shorten(path)} could not be read: {error.strerror}.") from error


@dataclass(slots=True)
class _Reader:
    data: mmap.mmap
    path: Path
    external: dict[str, None] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    # output name → (operation, its first input), of the main graph only
    producers: dict[str, tuple[str, str]] = field(default_factory=dict)
    # older graphs list their weights among the inputs
    inputs: dict[str, Span] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)
    has_graph: bool = False

    def facts(self) -> GraphFacts:
        try:
            self._model((0, len(self.data)))
            shape = next(
                (self._shape(type_) for name, type_ in self.inputs.items() if name not in self.weights), None
            )
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise InvalidModel(f"{shorten(self.path)} is not an ONNX model, or it is damaged.") from error
        if not self.has_graph:
            raise InvalidModel(f"{shorten(self.path)} is not an ONNX model: it contains no graph.")
        return GraphFacts(
            external=tuple(self.external),
            metadata=self.metadata,
            activation=self._activation(),
            input_shape=shape,
            quantization=self._quantization(),
        )

    def _quantization(self) -> Quantization:
        operations = {operation for operation, _ in self.producers.values()}
        if _DYNAMIC in operations:
            return "dynamic"
        return "none" if operations.isdisjoint(_STATIC) else "static"

    def _activation(self) -> str | None:
        name = "logits" if "logits" in self.outputs else next(iter(self.outputs), "")
        for _ in range(_MAX_DEPTH):
            operation, first_input = self.producers.get(name, ("", ""))
            if operation in _PROBABILITY:
                return operation.removeprefix("QLinear")
            if operation not in _TRANSPARENT:
                return None
            name = first_input
        return None

    def _model(self, span: Span) -> None:
        for number, child in self._children(span):
            if number == 7:
                self.has_graph = True
                self._main_graph(child)
            elif number == 14:
                key, value = self._entry(child)
                self.metadata[key] = value
            elif number == 20:
                self._find_external("training", child)
            elif number == 25:
                self._find_external("function", child)

    def _main_graph(self, span: Span) -> None:
        for number, child in self._children(span):
            if number == 1:
                self._main_node(child)
            elif number == 5:
                parts = dict(self._children(child))
                self.weights.add(self._text(parts.get(8, (0, 0))))
                if 13 in parts:
                    self._find_external("tensor", child)
            elif number == 11:
                parts = dict(self._children(child))
                if 1 in parts and 2 in parts:
                    self.inputs[self._text(parts[1])] = parts[2]
            elif number == 12:
                self.outputs.extend(self._text(c) for n, c in self._children(child) if n == 1)
            elif number == 15:
                self._find_external("sparse tensor", child)

    def _main_node(self, span: Span) -> None:
        first_input, operation = "", ""
        outputs = []
        for number, child in self._children(span):
            if number == 5:
                self._find_external("attribute", child)
            elif number == 1:
                first_input = first_input or self._text(child)
            elif number == 2:
                outputs.append(self._text(child))
            elif number == 4:
                operation = self._text(child)
        self.producers.update((output, (operation, first_input)) for output in outputs)

    def _find_external(self, kind: str, span: Span, depth: int = 0) -> None:
        """Collect the files of all tensors in a message."""
        if depth > _MAX_DEPTH:
            raise ValueError("messages are nested too deeply")
        for number, child in self._children(span):
            if number in _CONTAINERS[kind]:
                self._find_external(_CONTAINERS[kind][number], child, depth + 1)
            elif kind == "tensor" and number == 13:
                key, value = self._entry(child)
                if key == "location":
                    self.external[value] = None

    def _shape(self, type_: Span) -> tuple[int | None, ...] | None:
        """TypeProto → tensor_type (1) → shape (2) → dim (1, repeated) → dim_value (1)."""
        tensor = dict(self._children(type_)).get(1)
        shape = None if tensor is None else dict(self._children(tensor)).get(2)
        if shape is None:
            return None
        dimensions = (dict(self._fields(dimension)).get(1) for _, dimension in self._children(shape))
        return tuple(d if isinstance(d, int) and 0 < d < 1 << 31 else None for d in dimensions)

    def _entry(self, span: Span) -> tuple[str, str]:
        parts = dict(self._children(span))
        return self._text(parts.get(1, (0, 0))), self._text(parts.get(2, (0, 0)))

    def _text(self, span: Span) -> str:
        return self.data[span[0] : span[1]].decode("utf-8")

    def _children(self, span: Span) -> Iterator[tuple[int, Span]]:
        """The length-delimited fields of a message, without its numbers."""
        for number, value in self._fields(span):
            if not isinstance(value, int):
                yield number, value

    def _fields(self, span: Span) -> Iterator[tuple[int, Span | int]]:
        position, end = span
        while position < end:
            key, position = self._varint(position, end)
            number, wire = key >> 3, key & 7
            if number == 0:
                raise ValueError("field 0")
            if wire == _VARINT:
                value, position = self._varint(position, end)
                yield number, value
            elif wire == _FIXED64:
                position += 8
            elif wire == _FIXED32:
                position += 4
            elif wire == _BYTES:
                length, position = self._varint(position, end)
                if position + length > end:
                    raise ValueError("a field is longer than its message")
                yield number, (position, position + length)
                position += length
            else:
                raise ValueError("an unknown wire type")
        if position != end:
            raise ValueError("a field is longer than its message")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while position < end and shift < 70:
            byte = self.data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
        raise ValueError("an unfinished number")
