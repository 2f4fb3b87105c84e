"""Reads and edits ONNX graphs for quantization."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import InvalidModel, MissingExtra, shorten, shorten_reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

INSTALL = "pip install 'pictag[quantize]'"

try:
    import onnx
    from google.protobuf.message import DecodeError  # a dependency of onnx
    from onnx import numpy_helper, version_converter
except ImportError as missing:
    raise MissingExtra(f"Quantizing needs the package onnx: {INSTALL}") from missing

Graph = Any  # onnx.ModelProto, which has no types

_MATRIX = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
_INTEGER = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}
)
_PLAIN_MOVES = frozenset({"Transpose", "Reshape", "Cast", "Dropout", "Identity", "Slice", "Mul", "Squeeze"})
_MIN_OPSET, _OPSET = 13, 17  # scales per channel need 13
_MAX_BYTES = 2_000_000_000  # the limit of a protobuf message is 2 GiB
_BFLOAT16, _FLOAT16 = onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT16


def read_float_graph(path: Path) -> Graph:
    """Read a graph to quantize, and name its unnamed nodes.

    Raises `InvalidModel` if it can't be quantized: it is already quantized, in half precision, has a fixed
    batch, has nothing to quantize, or is too large.
    """
    name = shorten(path)
    try:
        graph = onnx.load(path)
        if graph.ByteSize() > _MAX_BYTES:
            raise InvalidModel(f"{name} has more than 2 GB of weights, which cannot be quantized here.")
        _check(graph, name)
        if _opset(graph) < _MIN_OPSET:
            graph = version_converter.convert_version(graph, _OPSET)
    except InvalidModel:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, onnx.checker.ValidationError, DecodeError) as error:
        raise InvalidModel(f"{name} cannot be read as an ONNX graph: {shorten_reason(error)}") from error
    taken = {node.name for node in graph.graph.node}
    for number, node in enumerate(graph.graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{number}"
            while node.name in taken:
                node.name += "_1"
            taken.add(node.name)
    return graph


def has_attention(graph: Graph) -> bool:
    """Whether the graph computes attention: a product of a softmax with another computed tensor.

    A softmax at a classifier's end isn't multiplied with anything, and other layers multiply with constant
    weights.
    """
    nodes = graph.graph.node
    if any(node.op_type in ("Attention", "MultiHeadAttention") for node in nodes):
        return True
    weights = _constants(graph)
    users: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    waiting = [output for node in nodes if node.op_type == "Softmax" for output in node.output]
    seen = set(waiting)
    while waiting:
        for node in users.get(waiting.pop(), ()):
            if node.op_type in ("MatMul", "Einsum") and not any(name in weights for name in node.input):
                return True
            if node.op_type in _PLAIN_MOVES:
                fresh = [output for output in node.output if output not in seen]
                seen.update(fresh)
                waiting.extend(fresh)
    return False


def suit_onnxruntime(graph: Graph, *, signed: bool) -> Graph:
    """Change a quantized attention graph so that ONNX Runtime runs it fastest, with equal results.

    Measured on a ViT: unsigned activations reach its kernels for VNNI (140 → 91 core-ms per image), and
    products of two computed tensors are faster in float (91 → 72). A signed byte with zero point 0 and an
    unsigned one with zero point 128 represent the same numbers.
    """
    changed = copy.deepcopy(graph)
    weights = _constants(changed)
    makers = _makers(changed)
    for node in changed.graph.node:
        computed = [name for name in node.input if not _is_constant(name, weights, makers)]
        if node.op_type == "MatMul" and len(computed) == 2:
            _bypass(node, makers, weights)
    _remove_unused(changed)
    if not signed:
        _make_unsigned(changed)
    del changed.graph.value_info[:]  # it holds the old types
    return changed


def list_quantized(graph: Graph) -> tuple[str, ...]:
    """The nodes that compute on quantized activations, in the order of the graph."""
    weights, makers = _constants(graph), _makers(graph)
    skipped = ("QuantizeLinear", "DequantizeLinear")
    return tuple(
        node.name
        for node in graph.graph.node
        if node.name
        and node.op_type not in skipped
        and any(_source(name, makers, weights) for name in node.input)
    )


def exclude_nodes(graph: Graph, names: Collection[str]) -> Graph:
    """The graph with the activations of these nodes in float again; their weights stay 8-bit integers."""
    changed = copy.deepcopy(graph)
    weights, makers = _constants(changed), _makers(changed)
    for node in changed.graph.node:
        if node.name in names:
            _bypass(node, makers, weights)
    _remove_unused(changed)
    return changed


def load_graph(path: Path) -> Graph:
    """Read a quantized graph."""
    return onnx.load(path)


def save_graph(graph: Graph, path: Path) -> None:
    """Write a graph into one file."""
    onnx.save(graph, path)


def input_name(graph: Graph) -> str:
    """The name of the graph's input. Old graphs list their weights among the inputs."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    return next(str(entry.name) for entry in graph.graph.input if entry.name not in weights)


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Silence the tools' prints, logs and warnings. Failures arrive as exceptions."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _check(graph: Graph, name: str) -> None:
    operations = Counter(node.op_type for node in graph.graph.node)
    if any(o in _INTEGER or o.startswith("QLinear") or o == "MatMulNBits" for o in operations):
        raise InvalidModel(f"{name} is already quantized. Use the float weights (model.onnx).")
    types = Counter(tensor.data_type for tensor in graph.graph.initializer)
    if types[_FLOAT16] or types[_BFLOAT16]:
        raise InvalidModel(f"{name} is in half precision. Use the float32 weights (model.onnx).")
    if not _MATRIX & operations.keys():
        raise InvalidModel(f"{name} has no convolutions or matrix products, so there is nothing to quantize.")
    weights = {tensor.name for tensor in graph.graph.initializer}
    for entry in graph.graph.input:
        shape = entry.type.tensor_type.shape.dim
        if entry.name not in weights and len(shape) and shape[0].dim_value > 0:
            raise InvalidModel(
                f"{name} takes exactly {shape[0].dim_value} images at a time. To quantize it, export it with "
                "a dynamic batch size (dynamic_axes or dynamic_shapes)."
            )


def _opset(graph: Graph) -> int:
    return max((o.version for o in graph.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _makers(graph: Graph) -> dict[str, Any]:
    return {output: node for node in graph.graph.node for output in node.output}


def _constants(graph: Graph) -> set[str]:
    names = {tensor.name for tensor in graph.graph.initializer}
    return names | {o for node in graph.graph.node if node.op_type == "Constant" for o in node.output}


def _is_constant(name: str, weights: set[str], makers: dict[str, Any]) -> bool:
    """Whether a tensor is a weight, possibly dequantized and reshaped."""
    while name not in weights:
        maker = makers.get(name)
        if maker is None or maker.op_type not in _PLAIN_MOVES | {"DequantizeLinear"}:
            return False
        name = maker.input[0]
    return True


def _source(name: str, makers: dict[str, Any], weights: set[str]) -> str | None:
    """The float activation that a tensor is the quantized copy of, or ``None``."""
    back = makers.get(name)
    if back is None or back.op_type != "DequantizeLinear" or back.input[0] in weights:
        return None
    rounded = makers.get(back.input[0])
    return str(rounded.input[0]) if rounded is not None and rounded.op_type == "QuantizeLinear" else None


def _bypass(node: Any, makers: dict[str, Any], weights: set[str]) -> None:
    for index, name in enumerate(node.input):
        source = _source(name, makers, weights)
        if source is not None and source not in weights:
            node.input[index] = source


def _remove_unused(graph: Graph) -> None:
    """Remove unused dequantizations, then unused quantizations."""
    for operation in ("DequantizeLinear", "QuantizeLinear"):
        read = {name for node in graph.graph.node for name in node.input}
        read |= {output.name for output in graph.graph.output}
        kept = [n for n in graph.graph.node if n.op_type != operation or n.output[0] in read]
        del graph.graph.node[:]
        graph.graph.node.extend(kept)


def _make_unsigned(graph: Graph) -> None:
    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    weights = _constants(graph)
    fresh: dict[str, Any] = {}
    for node in graph.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[0] in weights:
            continue
        zero = tensors.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None or zero.data_type != onnx.TensorProto.INT8:
            continue
        name = f"{zero.name}_unsigned"
        fresh[name] = numpy_helper.from_array(
            (numpy_helper.to_array(zero).astype(np.int16) + 128).astype(np.uint8), name
        )
        node.input[2] = name
    graph.graph.initializer.extend(fresh.values())
