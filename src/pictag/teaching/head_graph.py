"""Replaces the last layer of an ONNX graph: up to the embedding, everything stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import InvalidModel, MissingExtra, shorten, shorten_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

try:
    import onnx
    from google.protobuf.message import DecodeError  # a dependency of onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    raise MissingExtra("Teaching needs the package onnx: pip install 'pictag[teach]'") from missing

OUTPUT = "logits"
_PREFIX = "pictag_teach"
_MIN_OPSET = 7  # before, operations didn't broadcast as they do now
_AXES_AS_INPUT = 18  # since this version, reductions take their axes as an input
_MIN_LENGTH = 1e-12
_MIN_IR_VERSION = 4  # before, weights had to be listed among the inputs
_MAX_BYTES = 2_000_000_000  # the limit of a protobuf message is 2 GiB
_EXTERNAL = TensorProto.EXTERNAL


def replace_head(
    weights: Path,
    external: Mapping[str, Path],
    *,
    embedding: str,
    averaged: tuple[int, ...],
    head: NDArray[np.float32],
    bias: NDArray[np.float32],
    output: Path,
    most_bytes: int = _MAX_BYTES,
) -> None:
    """Write a graph that ends in a new linear layer on the embedding, divided by its length.

    ``external`` are the files of weights that the graph names, by that name. ``embedding`` is the tensor to
    read, and ``averaged`` its axes over which the mean is taken first. ``head`` is [D, L] and ``bias`` [L].
    The result is one file, or two if it has more than ``most_bytes``. Raises `InvalidModel` for a graph that
    can't be read, and ``OSError``.
    """
    graph = _read(weights, external)
    opset = max((o.version for o in graph.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset < _MIN_OPSET:
        raise InvalidModel(
            f"{shorten(weights)} has version {opset} of ONNX's operations; {_MIN_OPSET} or later is needed. "
            "Export the model with a newer opset."
        )
    graph.ir_version = max(graph.ir_version, _MIN_IR_VERSION)
    _keep_only(graph.graph, embedding)
    builder = _Builder(graph.graph, opset)
    name = embedding
    if not name.startswith(_PREFIX):  # the embedding of a taught model already has length 1
        name = builder.add("Cast", [name], to=TensorProto.FLOAT)
        if averaged:
            name = builder.reduce("ReduceMean", name, averaged, keepdims=0)
        length = builder.reduce("ReduceL2", name, (1,), keepdims=1)
        length = builder.add("Add", [length, builder.store(np.array(_MIN_LENGTH, np.float32))])
        name = builder.add("Div", [name, length])
    builder.add("Gemm", [name, builder.store(head), builder.store(bias)])
    graph.graph.node[-1].output[0] = output_name = builder.name_output()
    batch = graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value or "batch"
    del graph.graph.output[:], graph.graph.value_info[:]
    graph.graph.output.append(
        helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [batch, len(bias)])
    )
    if graph.ByteSize() > most_bytes:
        onnx.save(graph, output, save_as_external_data=True, location=f"{output.name}_data")
    else:
        output.write_bytes(graph.SerializeToString(deterministic=True))


def _read(weights: Path, external: Mapping[str, Path]) -> Any:
    """The graph with the content of its external files, which may be links: onnx doesn't follow those."""
    try:
        graph = onnx.load(weights, load_external_data=False)
    except (OSError, RuntimeError, ValueError, TypeError, DecodeError) as error:
        raise InvalidModel(
            f"{shorten(weights)} can't be read as an ONNX graph: {shorten_reason(error)}."
        ) from error
    for tensor in _list_tensors(graph.graph):
        if tensor.data_location != _EXTERNAL:
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        with external[where["location"]].open("rb") as file:
            file.seek(int(where.get("offset", 0)))
            tensor.raw_data = file.read(int(where["length"]) if "length" in where else -1)
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    return graph


def _list_tensors(graph: Any) -> Iterable[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _list_tensors(inner)


def _keep_only(graph: Any, tensor: str) -> None:
    """Remove the nodes and weights that the tensor doesn't depend on."""
    needed = {tensor}
    kept = []
    for node in reversed(graph.node):  # whatever reads a tensor comes after what computes it
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_list_read(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for field in (graph.initializer, graph.sparse_initializer, graph.quantization_annotation):
        names = [getattr(entry, "tensor_name", "") or getattr(entry, "name", "") for entry in field]
        unneeded = [index for index, name in enumerate(names) if name and name not in needed]
        for index in reversed(unneeded):
            del field[index]
    first = graph.input[0].name
    inputs = [entry for entry in graph.input if entry.name in needed or entry.name == first]
    del graph.input[:]
    graph.input.extend(inputs)


def _list_read(node: Any) -> Iterable[str]:
    """The tensors that a node reads, also inside of its branches and loops."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _list_read(inner)
            yield from (output.name for output in graph.output)


class _Builder:
    """Adds nodes to a graph, with names that it doesn't have."""

    def __init__(self, graph: Any, opset: int) -> None:
        self._graph = graph
        self._opset = opset
        self._taken = {name for node in graph.node for name in (*node.input, *node.output, node.name)}
        self._taken |= {entry.name for entry in (*graph.input, *graph.initializer)}

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = self._name(op)
        self._graph.node.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def store(self, values: NDArray[Any]) -> str:
        name = self._name("weights")
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def reduce(self, op: str, tensor: str, axes: tuple[int, ...], *, keepdims: int) -> str:
        if self._opset < _AXES_AS_INPUT:
            return self.add(op, [tensor], axes=axes, keepdims=keepdims)
        return self.add(op, [tensor, self.store(np.array(axes, np.int64))], keepdims=keepdims)

    def name_output(self) -> str:
        return OUTPUT if OUTPUT not in self._taken else self._name(OUTPUT)

    def _name(self, wish: str) -> str:
        name = f"{_PREFIX}_{wish}"
        while name in self._taken:
            name += "_1"
        self._taken.add(name)
        return name
