"""What an ``.onnx`` file says of itself, read from its bytes without loading the weights.

ONNX is protobuf. Only a few fields matter here, so the wire format is walked directly over a memory map:
weights are skipped, never copied, and a file of gigabytes costs no more than its list of nodes. Field numbers
are those of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pictag.errors import InvalidModel, ModelFileMissing, shorten

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 64

# What may stand between the activation and the output without changing what the numbers are.
_TRANSPARENT = frozenset(
    {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear"}
)
_PROBABILITY = frozenset({"Softmax", "Sigmoid", "QLinearSigmoid", "QLinearSoftmax"})

# Where a graph rounds what flows through it, it computes in 8 bits; weights alone may be stored so.
_STATIC = frozenset({"QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
_DYNAMIC = "DynamicQuantizeLinear"

Quantization = Literal["none", "static", "dynamic"]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """``external`` are the files that weights lie in, as the graph names them; ``metadata`` its free text.

    ``activation`` is the operation that the output comes from where it makes probabilities (``Softmax``,
    ``Sigmoid``), otherwise ``None``. ``input_shape`` is that of the first input that is no weight, with
    ``None`` where the graph leaves a dimension open; it is ``None`` where the graph does not say.
    ``quantization`` says whether the graph computes in 8-bit integers, with ranges that were calibrated
    (``static``) or that it finds as it runs, over all images of a batch (``dynamic``).
    """

    external: tuple[str, ...]
    metadata: dict[str, str]
    activation: str | None
    input_shape: tuple[int | None, ...] | None
    quantization: Quantization


def read_graph_file(path: Path) -> GraphFacts:
    """Read what an ``.onnx`` file refers to and how it ends. Raises `InvalidModel` for no ONNX."""
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise InvalidModel(f"{shorten(path)} is empty, so it is no ONNX model.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Walk(data, path).facts()
    except FileNotFoundError as error:
        raise ModelFileMissing(f"There is no file {shorten(path)}.") from error
    except OSError as error:
        raise InvalidModel(f"{shorten(path)} could not be read: {error.strerror}.") from error


@dataclass(slots=True)
class _Walk:
    data: mmap.mmap
    path: Path
    external: dict[str, None] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    # output name → (operation, its first input), of the top graph only
    producers: dict[str, tuple[str, str]] = field(default_factory=dict)
    # older graphs list their weights among the inputs too
    inputs: dict[str, Span] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)
    has_graph: bool = False

    def facts(self) -> GraphFacts:
        try:
            self._model((0, len(self.data)))
            shape = next(
                (self._shape(t) for name, t in self.inputs.items() if name not in self.weights), None
            )
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise InvalidModel(f"{shorten(self.path)} is no ONNX model, or is damaged.") from error
        if not self.has_graph:
            raise InvalidModel(f"{shorten(self.path)} is no ONNX model: there is no graph in it.")
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
        if not self.outputs:
            return None
        name = "logits" if "logits" in self.outputs else self.outputs[0]
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
                self._graph(child, 0, is_top=True)
            elif number == 14:
                key, value = self._entry(child)
                self.metadata[key] = value
            elif number == 20:  # training info: two graphs
                for _, graph in self._children(child):
                    self._graph(graph, 1, is_top=False)
            elif number == 25:  # a function: its nodes have field 7
                for inner, node in self._children(child):
                    if inner == 7:
                        self._node(node, 1, is_top=False)

    def _graph(self, span: Span, depth: int, *, is_top: bool) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("graphs are nested too deeply")
        for number, child in self._children(span):
            if number == 1:
                self._node(child, depth, is_top=is_top)
            elif number == 5:
                name = self._tensor(child)
                if is_top:
                    self.weights.add(name)
            elif number == 15:
                self._sparse(child)
            elif number == 11 and is_top:
                parts = dict(self._children(child))
                if 1 in parts and 2 in parts:
                    self.inputs[self._text(parts[1])] = parts[2]
            elif number == 12 and is_top:
                self.outputs.extend(self._text(c) for n, c in self._children(child) if n == 1)

    def _shape(self, type_: Span) -> tuple[int | None, ...] | None:
        """TypeProto → tensor_type (1) → shape (2) → dim (1, repeated) → dim_value (1)."""
        tensor = dict(self._children(type_)).get(1)
        shape = None if tensor is None else dict(self._children(tensor)).get(2)
        if shape is None:
            return None
        dimensions = (dict(self._fields(dimension)).get(1) for _, dimension in self._children(shape))
        return tuple(d if isinstance(d, int) and 0 < d < 1 << 31 else None for d in dimensions)

    def _node(self, span: Span, depth: int, *, is_top: bool) -> None:
        first_input, operation = "", ""
        outputs = []
        for number, child in self._children(span):
            if number == 5:
                self._attribute(child, depth)
            elif is_top and number == 1:
                first_input = first_input or self._text(child)
            elif is_top and number == 2:
                outputs.append(self._text(child))
            elif is_top and number == 4:
                operation = self._text(child)
        self.producers.update((output, (operation, first_input)) for output in outputs)

    def _attribute(self, span: Span, depth: int) -> None:
        for number, child in self._children(span):
            if number in (5, 10):
                self._tensor(child)
            elif number in (22, 23):
                self._sparse(child)
            elif number in (6, 11):
                self._graph(child, depth + 1, is_top=False)

    def _sparse(self, span: Span) -> None:
        for number, child in self._children(span):
            if number in (1, 2):
                self._tensor(child)

    def _tensor(self, span: Span) -> str:
        name = ""
        for number, child in self._children(span):
            if number == 8:
                name = self._text(child)
            elif number == 13:
                key, value = self._entry(child)
                if key == "location":
                    self.external[value] = None
        return name

    def _entry(self, span: Span) -> tuple[str, str]:
        key = value = ""
        for number, child in self._children(span):
            if number == 1:
                key = self._text(child)
            elif number == 2:
                value = self._text(child)
        return key, value

    def _text(self, span: Span) -> str:
        return self.data[span[0] : span[1]].decode("utf-8")

    def _children(self, span: Span) -> Iterator[tuple[int, Span]]:
        """The length-delimited fields of a message; plain numbers are left out."""
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
        raise ValueError("a number has no end")
