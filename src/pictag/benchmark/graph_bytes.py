"""ONNX graphs that multiply two matrices, written as the bytes that they are made of.

ONNX is protobuf, and these graphs have three nodes at most: no package is needed for that. The numbers are
those of the fields in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pictag.benchmark.records import Arithmetic

_FLOAT, _UINT8, _INT8 = 1, 2, 3  # TensorProto.DataType
_IR_VERSION, _OPSET = 8, 17
_BYTES = 2  # the wire type of everything but numbers


def make_multiplication(side: int, arithmetic: Arithmetic) -> bytes:
    """A graph that multiplies its input ``a`` [side, side] with weights and gives ``c``, in float32.

    ``float32`` takes floats; ``int8`` takes uint8 and has int8 weights, both marked as quantised, which every
    engine turns into one multiplication of integers.

    >>> len(make_multiplication(64, "int8")) > 64 * 64
    True
    """
    rng = np.random.default_rng(0)
    if arithmetic == "float32":
        nodes = _node("MatMul", ["a", "b"], "c")
        weights = rng.standard_normal((side, side), np.float32)
        tensors = _tensor("b", _FLOAT, weights.shape, weights.tobytes())
    else:
        nodes = _node("DequantizeLinear", ["a", "scale"], "x")
        nodes += _node("DequantizeLinear", ["b", "scale"], "w")
        nodes += _node("MatMul", ["x", "w"], "c")
        levels = rng.integers(-127, 128, (side, side), np.int8)
        tensors = _tensor("b", _INT8, levels.shape, levels.tobytes())
        tensors += _tensor("scale", _FLOAT, (), struct.pack("<f", 0.01))
    graph = nodes + _field(2, b"multiplication") + tensors
    graph += _field(11, _value("a", _FLOAT if arithmetic == "float32" else _UINT8, side))
    graph += _field(12, _value("c", _FLOAT, side))
    return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(2, _OPSET))


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs)
    return _field(1, names + _field(2, output.encode()) + _field(4, kind.encode()))


def _tensor(name: str, kind: int, shape: Sequence[int], raw: bytes) -> bytes:
    sides = b"".join(_field(1, side) for side in shape)
    return _field(5, sides + _field(2, kind) + _field(8, name.encode()) + _field(9, raw))


def _value(name: str, kind: int, side: int) -> bytes:
    shape = _field(1, _field(1, side)) * 2
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
