"""Tiny graphs with the features that quantization distinguishes."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

CONVOLUTIONS = """
<ir_version: 8, opset_import: ["" : 17]>
convolutions (float[batch,3,8,8] pixel_values) => (float[batch,3] logits) {
  first = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(pixel_values, first_weight, first_bias)
  bent = Relu(first)
  second = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(bent, second_weight, second_bias)
  added = Add(bent, second)
  pooled = GlobalAveragePool(added)
  flat = Flatten(pooled)
  scores = Gemm(flat, head_weight, head_bias)
  logits = Softmax(scores)
}
"""
# One channel of the first layer is a thousand times larger than the others, and ignored by the second layer:
# a common scale for all channels rounds the others to zero.
LOUD_CHANNEL = """
<ir_version: 8, opset_import: ["" : 17]>
loud (float[batch,3,8,8] pixel_values) => (float[batch,3] logits) {
  first = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(pixel_values, first_weight, first_bias)
  second = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(first, second_weight, second_bias)
  bent = Relu(second)
  pooled = GlobalAveragePool(bent)
  flat = Flatten(pooled)
  logits = Gemm(flat, head_weight, head_bias)
}
"""
ATTENTION = """
<ir_version: 8, opset_import: ["" : 17]>
attention (float[batch,3,8,8] pixel_values) => (float[batch,3] logits) {
  patches = Conv<kernel_shape=[2,2], strides=[2,2]>(pixel_values, patch_weight, patch_bias)
  columns = Reshape(patches, columns_shape)
  tokens = Transpose<perm=[0,2,1]>(columns)
  normal = LayerNormalization(tokens, norm_scale, norm_bias)
  query = MatMul(normal, query_weight)
  key = MatMul(normal, key_weight)
  value = MatMul(normal, value_weight)
  turned = Transpose<perm=[0,2,1]>(key)
  products = MatMul(query, turned)
  shares = Softmax(products)
  mixed = MatMul(shares, value)
  added = Add(tokens, mixed)
  mean = ReduceMean<axes=[1], keepdims=0>(added)
  logits = Gemm(mean, head_weight, head_bias)
}
"""
# Each score is 192, the sum of 192 products of 255 and 127. Two such products exceed 16 bits.
LARGE_PRODUCTS = """
<ir_version: 8, opset_import: ["" : 17]>
products (float[batch,3,8,8] pixel_values) => (float[batch,3,1,1] logits)
<float pixel_scale = {0.00392157}, float weight_scale = {0.0078740157}, float score_scale = {1.0},
 uint8 zero = {0}, int8 weight_zero = {0}>
{
  pixels = QuantizeLinear(pixel_values, pixel_scale, zero)
  input = DequantizeLinear(pixels, pixel_scale, zero)
  weights = DequantizeLinear(integer_weights, weight_scale, weight_zero)
  sums = Conv(input, weights)
  scores = QuantizeLinear(sums, score_scale, zero)
  logits = DequantizeLinear(scores, score_scale, zero)
}
"""
_SHAPES = {
    "first_weight": (8, 3, 3, 3), "first_bias": (8,), "second_weight": (8, 8, 3, 3), "second_bias": (8,),
    "patch_weight": (8, 3, 2, 2), "patch_bias": (8,), "norm_scale": (8,), "norm_bias": (8,),
    "query_weight": (8, 8), "key_weight": (8, 8), "value_weight": (8, 8),
    "head_weight": (8, 3), "head_bias": (3,),
}  # fmt: skip


def make_graph(text: str) -> onnx.ModelProto:
    """A graph of this text, with the same weights each time."""
    graph = onnx.parser.parse_model(text)
    rng = np.random.default_rng(3)
    for name, shape in _SHAPES.items():
        values = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        if text is LOUD_CHANNEL and name == "first_weight":
            values[0] *= 1000
        if text is LOUD_CHANNEL and name == "second_weight":
            values[:, 0] = 0
        if any(name in node.input for node in graph.graph.node):
            graph.graph.initializer.append(numpy_helper.from_array(values, name))
    if text is LARGE_PRODUCTS:
        graph.graph.initializer.append(
            numpy_helper.from_array(np.full((3, 3, 8, 8), 127, np.int8), "integer_weights")
        )
    if text is ATTENTION:
        columns = np.array([0, 8, 16], np.int64)
        graph.graph.initializer.append(numpy_helper.from_array(columns, "columns_shape"))
    onnx.checker.check_model(graph)
    return graph


def make_samples(count: int = 12) -> list[NDArray[np.float32]]:
    """Inputs of one image each, the same each time."""
    rng = np.random.default_rng(5)
    return [rng.uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32) for _ in range(count)]
