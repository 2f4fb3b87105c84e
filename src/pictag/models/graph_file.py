"""Reads the structure of an ``.onnx`` file without its weights.

ONNX is protobuf. Only a few fields matter here, so the wire format is walked over a memory map: weights are
skipped, never copied, and a file of gigabytes costs no more than its list of nodes. Field numbers are those
of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pictag.errors import InvalidModel, ModelFileMissing, shorten
from pictag.substitutes import HEAD_BYTES, explain_substitute

# Other formats of models: (offset, magic number, name).
_OTHERS = (
    (0, b"PK\x03\x04", "a ZIP archive, as PyTorch and Keras write"),
    (0, b"\x80\x02", "a pickle of PyTorch"),
    (0, b"\x89HDF\r\n", "an HDF5 file, as Keras writes"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (8, b'{"', "a safetensors file"),
)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 64
Span = tuple[int, int]


_OWN_DOMAINS = ("", "ai.onnx")  # of the operations of ONNX itself

# Attributes of nodes that decide what their numbers are; the others are skipped.
_ATTRIBUTES = ("axis", "activation", "transB")

# The element types of tensors, by their number in onnx.proto.
_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph, with the names of its input and output tensors.

    ``domain`` is ``""`` for the operations of ONNX itself. ``attributes`` has only ``axis``, ``activation``
    and ``transB``.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    attributes: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Graph:
    """The top graph of a model.

    ``weights`` has the dimensions of each initializer and constant, ``inputs`` the shape of each input that
    isn't one, and ``outputs`` those of the outputs, with ``None`` for dynamic dimensions and for a shape that
    isn't stated. ``output_types`` are the outputs' element types. ``external`` are the files that hold
    weights, wherever in the model, as it names them; ``metadata`` is its free text, and ``opset`` the version
    of ONNX's operations. ``spans`` are the places of the initializers in the file, for
    `pictag.models.graph_weights`.
    """

    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: dict[str, tuple[int | None, ...] | None] = field(default_factory=dict)
    outputs: dict[str, tuple[int | None, ...] | None] = field(default_factory=dict)
    output_types: dict[str, str] = field(default_factory=dict)
    external: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    opset: int = 0
    spans: dict[str, Span] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """The shape of the first input, which is the images."""
        return next(iter(self.inputs.values()), None)


def read_graph_file(path: Path) -> Graph:
    """Read an ``.onnx`` file's structure. Raises `InvalidModel`, and `ModelFileMissing`."""
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise InvalidModel(f"{shorten(path)} is empty, so it is not an ONNX model.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                reader = FileReader(data)
                reader.read_model()
    except FileNotFoundError as error:
        raise ModelFileMissing(f"{shorten(path)} doesn't exist.", filename=path) from error
    except OSError as error:
        raise InvalidModel(f"{shorten(path)} could not be read: {error.strerror}.") from error
    except (ValueError, IndexError) as error:
        raise InvalidModel(
            f"{shorten(path)} is {_name_content(path, 'not an ONNX model, or is damaged')}."
        ) from error
    if not reader.has_graph:
        raise InvalidModel(
            f"{shorten(path)} is {_name_content(path, 'not an ONNX model: it contains no graph')}."
        )
    return reader.graph


def _name_content(path: Path, default: str) -> str:
    """What a file is that can't be read as a graph; ``default`` if that isn't known."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if substitute := explain_substitute(head):
        return substitute
    name = next((name for start, magic, name in _OTHERS if head.startswith(magic, start)), None)
    return default if name is None else f"{name}, not an ONNX model. Export the model to ONNX"


class FileReader:
    """Walks over the protobuf messages in ``data``. Raises ``ValueError`` for what isn't protobuf."""

    def __init__(self, data: mmap.mmap) -> None:
        self.graph = Graph()
        self.has_graph = False
        self._data = data

    def read_model(self) -> None:
        """Read the structure of the whole file into ``graph``."""
        for number, child in self._children((0, len(self._data))):
            if number == 7:
                self.has_graph = True
                self._read_graph(child, 0, is_top=True)
            elif number == 8:
                domain, version = (dict(self.fields(child)).get(field) for field in (1, 2))
                if isinstance(version, int) and (
                    not isinstance(domain, tuple) or self._text(domain) in _OWN_DOMAINS
                ):
                    self.graph.opset = version
            elif number == 14:
                key, value = self.read_entry(child)
                self.graph.metadata[key] = value
            elif number == 20:  # training info: two graphs
                for _, graph in self._children(child):
                    self._read_graph(graph, 1, is_top=False)
            elif number == 25:  # a function: its nodes have field 7
                for inner, node in self._children(child):
                    if inner == 7:
                        self._read_node(node, 1)
        # Older graphs list their weights among the inputs too.
        for name in self.graph.weights:
            self.graph.inputs.pop(name, None)

    def _read_graph(self, span: Span, depth: int, *, is_top: bool) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("graphs are nested too deeply")
        for number, child in self._children(span):
            if number == 1:
                node, dims = self._read_node(child, depth)
                if is_top:
                    self.graph.nodes.append(node)
                    if node.op == "Constant" and dims is not None:
                        self.graph.weights.update(dict.fromkeys(node.outputs, dims))
            elif number == 5:
                name, dims = self._read_tensor(child)
                if is_top:
                    self.graph.weights[name] = dims
                    self.graph.spans[name] = child
            elif number == 15:
                self._read_sparse(child)
            elif number in (11, 12) and is_top:
                values = self.graph.inputs if number == 11 else self.graph.outputs
                parts = dict(self._children(child))
                if 1 in parts:
                    name = self._text(parts[1])
                    values[name] = self._read_shape(parts[2]) if 2 in parts else None
                    if number == 12 and 2 in parts:
                        self.graph.output_types[name] = self._read_type(parts[2])

    def _read_shape(self, type_: Span) -> tuple[int | None, ...] | None:
        """TypeProto → tensor_type (1) → shape (2) → dim (1, repeated) → dim_value (1)."""
        tensor = dict(self._children(type_)).get(1)
        shape = None if tensor is None else dict(self._children(tensor)).get(2)
        if shape is None:
            return None
        dimensions = (dict(self.fields(dimension)).get(1) for _, dimension in self._children(shape))
        return tuple(d if isinstance(d, int) and 0 < d < 1 << 31 else None for d in dimensions)

    def _read_type(self, type_: Span) -> str:
        """TypeProto → tensor_type (1) → elem_type (1), or a sequence (4), a map (5) and the like."""
        fields = dict(self._children(type_))
        if 1 not in fields:
            return {4: "sequence", 5: "map"}.get(min(fields, default=0), "unknown")
        number = dict(self.fields(fields[1])).get(1)
        return _TYPES.get(number, f"type {number}") if isinstance(number, int) and number else "unknown"

    def _read_node(self, span: Span, depth: int) -> tuple[Node, tuple[int, ...] | None]:
        """The node, and the dimensions of a tensor among its attributes."""
        op, domain, dims = "", "", None
        inputs, outputs = [], []
        attributes: dict[str, int | str] = {}
        for number, child in self._children(span):
            if number == 1:
                inputs.append(self._text(child))
            elif number == 2:
                outputs.append(self._text(child))
            elif number == 4:
                op = self._text(child)
            elif number == 5:
                dims = self._read_attribute(child, depth, attributes) or dims
            elif number == 7:
                domain = self._text(child)
        domain = "" if domain in _OWN_DOMAINS else domain
        return Node(op, tuple(inputs), tuple(outputs), domain, attributes), dims

    def _read_attribute(
        self, span: Span, depth: int, attributes: dict[str, int | str]
    ) -> tuple[int, ...] | None:
        """The dimensions of an attribute's tensor; a number or text of `_ATTRIBUTES` is stored."""
        dims, name = None, ""
        value: Span | int | None = None
        for number, child in self.fields(span):
            if number in (3, 4):
                value = child
            elif isinstance(child, int):
                continue
            elif number == 1:
                name = self._text(child)
            elif number in (5, 10):
                _, dims = self._read_tensor(child)
            elif number in (22, 23):
                self._read_sparse(child)
            elif number in (6, 11):
                self._read_graph(child, depth + 1, is_top=False)
        if name in _ATTRIBUTES and value is not None:
            attributes[name] = value - (value >> 63 << 64) if isinstance(value, int) else self._text(value)
        return dims

    def _read_sparse(self, span: Span) -> None:
        for number, child in self._children(span):
            if number in (1, 2):
                self._read_tensor(child)

    def _read_tensor(self, span: Span) -> tuple[str, tuple[int, ...]]:
        name = ""
        dims: list[int] = []
        for number, value in self.fields(span):
            if number == 1:
                dims += [value] if isinstance(value, int) else self.packed(value)
            elif isinstance(value, int):
                continue
            elif number == 8:
                name = self._text(value)
            elif number == 13:
                key, location = self.read_entry(value)
                if key == "location" and location not in self.graph.external:
                    self.graph.external.append(location)
        return name, tuple(dims)

    def read_entry(self, span: Span) -> tuple[str, str]:
        """A StringStringEntryProto: key and value."""
        parts = dict(self._children(span))
        return tuple(self._text(parts[n]) if n in parts else "" for n in (1, 2))  # type: ignore[return-value]  # two

    def _text(self, span: Span) -> str:
        return self._data[span[0] : span[1]].decode("utf-8")

    def packed(self, span: Span) -> list[int]:
        """The integers of a packed field."""
        numbers = []
        position, end = span
        while position < end:
            number, position = self._varint(position, end)
            numbers.append(number)
        return numbers

    def _children(self, span: Span) -> Iterator[tuple[int, Span]]:
        """The length-delimited fields of a message; plain numbers are left out."""
        for number, value in self.fields(span):
            if not isinstance(value, int):
                yield number, value

    def fields(self, span: Span) -> Iterator[tuple[int, Span | int]]:
        """The fields of a message: numbers, and the places of everything else."""
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
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
        raise ValueError("a number has no end")
