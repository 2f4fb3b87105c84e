"""The trained network as an ONNX graph: small, with a dynamic batch, and only with what inference needs.

Batch normalisation is folded into the convolutions. The weights of convolutions are stored as int8 with
one scale per output channel and converted to float32 by `Cast` and `Mul`, which a runtime computes once when
it loads the model; all arithmetic is float32. The graph first compresses every image as the images of the
data set were (see `compression`), then averages the features of the image and its mirror image. The
temperature of the calibration is part of the last layer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from augment import MEAN, STD
from compression import add_compression
from network import Block, Network, Normalised

OPSET = 17
IR_VERSION = 8
Floats = NDArray[np.float32]


def fold(layer: Normalised) -> tuple[Floats, Floats]:
    """Weight and bias of one convolution that replaces a convolution and its normalisation."""
    norm = layer.norm
    mean, spread = norm.running_mean, norm.running_var
    if mean is None or spread is None:
        raise ValueError("a normalisation without running statistics can't be folded")
    gain = norm.weight / torch.sqrt(spread + norm.eps)
    weight = layer.conv.weight * gain[:, None, None, None]
    bias = norm.bias - mean * gain
    return weight.detach().float().numpy(), bias.detach().float().numpy()


def quantize(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """int8 values, and the scale of each output channel: the one of a few with the least squared error."""
    flat = weight.reshape(len(weight), -1)
    largest = np.maximum(np.abs(flat).max(axis=1), 1e-12)
    best_error = np.full(len(flat), np.inf)
    best_scale = largest / 127
    for share in np.linspace(0.7, 1.0, 16):
        scale = largest * share / 127
        rounded = np.clip(np.round(flat / scale[:, None]), -127, 127) * scale[:, None]
        error = ((rounded - flat) ** 2).sum(axis=1)
        best_scale = np.where(error < best_error, scale, best_scale)
        best_error = np.minimum(error, best_error)
    scales = best_scale.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.round(weight / scales), -127, 127).astype(np.int8), scales


class Graph:
    """The nodes and constants of an ONNX graph that is being built."""

    def __init__(self, compress: bool) -> None:
        self.compress = compress
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, name: str, values: Floats) -> str:
        """Add a weight, with ``compress`` as int8 with scales."""
        if not self.compress:
            return self.constant(name, values)
        integers, scales = quantize(values)
        stored = self.constant(f"{name}_int8", integers)
        floats = self.add("Cast", stored, name=f"{name}_cast", to=TensorProto.FLOAT)
        return self.add("Mul", floats, self.constant(f"{name}_scale", scales), name=name)

    def convolution(self, layer: Normalised, x: str, name: str) -> str:
        weight, bias = fold(layer)
        stride, edge = layer.conv.stride[0], layer.conv.kernel_size[0] // 2
        inputs = (x, self.weight(f"{name}_weight", weight), self.constant(f"{name}_bias", bias))
        return self.add("Conv", *inputs, name=name, strides=[stride] * 2, pads=[edge] * 4)

    def block(self, block: Block, x: str, name: str) -> str:
        first = self.add("Relu", self.convolution(block.first, x, f"{name}_first"), name=f"{name}_first_relu")
        second = self.convolution(block.second, first, f"{name}_second")
        if block.shortcut is not None:
            if block.stride == 2:
                x = self.add(
                    "AveragePool", x, name=f"{name}_pool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1
                )
            x = self.convolution(block.shortcut, x, f"{name}_shortcut")
        return self.add("Relu", self.add("Add", x, second, name=f"{name}_sum"), name=name)

    def head(self, layer: nn.Linear, x: str, temperature: float) -> str:
        weight = (layer.weight.detach().float().numpy() / temperature).astype(np.float32)
        bias = (layer.bias.detach().float().numpy() / temperature).astype(np.float32)
        inputs = (x, self.weight("head_weight", weight), self.constant("head_bias", bias))
        return self.add("Gemm", *inputs, name="logits", transB=1)


def build_model(
    network: Network, side: int, temperature: float = 1.0, mirror: bool = True, compress: bool = True
) -> onnx.ModelProto:
    """The ONNX model: `pixel_values` [batch, 3, side, side] to `logits` [batch, classes]."""
    graph = Graph(compress)
    x = add_compression(graph, "pixel_values", mean=MEAN, std=STD)
    if mirror:
        last, before_first, axis, back = (
            graph.constant(name, np.array([value], dtype=np.int64))
            for name, value in (
                ("last", -1),
                ("before_first", np.iinfo(np.int64).min + 1),
                ("axis", 3),
                ("back", -1),
            )
        )
        mirrored = graph.add("Slice", x, last, before_first, axis, back, name="mirrored")
        x = graph.add("Concat", x, mirrored, name="both", axis=0)
    x = graph.add("Relu", graph.convolution(network.stem, x, "stem"), name="stem_relu")
    for place, block in enumerate(network.blocks):
        x = graph.block(cast(Block, block), x, f"block{place}")
    x = graph.add("ReduceMean", x, name="features", axes=[2, 3], keepdims=0)
    if mirror:
        pairs = graph.constant("pairs", np.array([2, -1, network.shape.widths[-1]], dtype=np.int64))
        x = graph.add("Reshape", x, pairs, name="feature_pairs")
        x = graph.add("ReduceMean", x, name="mean_features", axes=[0], keepdims=0)
    graph.head(network.head, x, temperature)
    value = helper.make_tensor_value_info
    proto = helper.make_graph(
        graph.nodes,
        "pictag_embedded",
        [value("pixel_values", TensorProto.FLOAT, ["batch", 3, side, side])],
        [value("logits", TensorProto.FLOAT, ["batch", network.shape.classes])],
        graph.constants,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "pictag"
    onnx.checker.check_model(model, full_check=True)
    return model


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write the model; the same weights give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
