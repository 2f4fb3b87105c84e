"""Reads the values of some of a graph's weights, without the ``onnx`` package."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.models.graph_file import FileReader

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.models.graph_file import Graph, Node

# numpy's types by the number of the element type in onnx.proto.
_DTYPES = {1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _RAW_DATA, _EXTERNAL_DATA, _DOUBLE_DATA = 4, 5, 7, 9, 13, 10
_KEEPING = frozenset({"Identity", "Cast"})
_MAX_CHAIN = 4  # operations between stored weights and their use, more than exports have


class WeightReader:
    """The values of constant tensors: initializers, and what a few operations compute from them.

    These are the operations of quantized and compressed weights: dequantization, casts, products and
    transposition.
    """

    def __init__(self, path: Path, graph: Graph) -> None:
        self._path = path
        self._graph = graph
        self._makers = {output: node for node in graph.nodes for output in node.outputs}

    def read(self, name: str, depth: int = 0) -> NDArray[Any] | None:
        """The tensor's values; ``None`` for one that can't be read here.

        Raises ``OSError``, and ``ValueError`` for a damaged file.
        """
        if name in self._graph.spans:
            return self._read_initializer(name)
        node = self._makers.get(name)
        if node is None or depth > _MAX_CHAIN:
            return None
        inputs = [self.read(tensor, depth + 1) for tensor in node.inputs]
        known = [values for values in inputs if values is not None]
        return _compute(node, known) if known and len(known) == len(inputs) else None

    def _read_initializer(self, name: str) -> NDArray[Any] | None:
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            reader = FileReader(data)
            stored: dict[int, Any] = {}
            external: dict[str, str] = {}
            for number, value in reader.fields(self._graph.spans[name]):
                if number == _EXTERNAL_DATA and not isinstance(value, int):
                    key, text = reader.read_entry(value)
                    external[key] = text
                else:
                    stored[number] = value
            dtype = _DTYPES.get(stored.get(2, 0))
            if dtype is None:
                return None
            values = (
                _read_file(self._path, external, dtype)
                if external
                else _read_fields(reader, data, stored, dtype)
            )
        dims = self._graph.weights[name]
        return values.reshape(dims) if values is not None and values.size == np.prod(dims) else None


def _read_fields(
    reader: FileReader, data: mmap.mmap, stored: dict[int, Any], dtype: str
) -> NDArray[Any] | None:
    for number, packed in ((_RAW_DATA, dtype), (_FLOAT_DATA, "<f4"), (_DOUBLE_DATA, "<f8")):
        if isinstance(span := stored.get(number), tuple):
            return np.frombuffer(data[span[0] : span[1]], packed).copy()
    span = stored.get(_INT32_DATA, stored.get(_INT64_DATA))
    if not isinstance(span, tuple):
        return None
    numbers = np.array(reader.packed(span), np.uint64)
    # Half floats are stored as the bits of an unsigned number.
    return numbers.astype("<u2").view(dtype) if dtype == "<f2" else numbers.astype(dtype)


def _read_file(path: Path, external: dict[str, str], dtype: str) -> NDArray[Any] | None:
    """Weights beside the graph; `pictag.models.external_data` has checked that the file is the model's."""
    if "location" not in external:
        return None
    with (path.parent / external["location"]).open("rb") as file:
        file.seek(int(external.get("offset") or 0))
        content = file.read(int(external["length"])) if external.get("length") else file.read()
    return np.frombuffer(content, dtype)


def _compute(node: Node, inputs: list[NDArray[Any]]) -> NDArray[Any] | None:
    first = inputs[0].astype(np.float32)
    if node.op in _KEEPING:
        return first
    if node.op == "Transpose" and first.ndim == 2:
        return first.T
    if node.op == "Mul" and len(inputs) == 2:
        return np.asarray(first * inputs[1].astype(np.float32))
    if node.op == "DequantizeLinear":
        axis = node.attributes.get("axis", 1)
        scale, *rest = (_along(values, axis, first.ndim) for values in inputs[1:])
        return np.asarray((first - rest[0] if rest else first) * scale)
    return None


def _along(values: NDArray[Any], axis: int | str, dimensions: int) -> NDArray[np.float32]:
    """One value, or one for each place along an axis, in a shape that broadcasts."""
    shape = [1] * dimensions
    if values.size > 1:
        shape[int(axis)] = values.size
    return values.astype(np.float32).reshape(shape)
