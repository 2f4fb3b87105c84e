"""Class activation maps: the feature map whose mean gives a graph's scores, and the weights between them.

If global average pooling feeds the layer that computes the scores, each logit is the mean over the positions
of ``weights · features``, plus a bias. The terms of this mean are exactly what each position adds to the
logit (Zhou et al. 2016, https://arxiv.org/abs/1512.04150).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pictag.models.graph_facts import find_constants
from pictag.models.graph_weights import WeightReader

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.models.graph_file import Graph, Node

_POOLS = frozenset({"GlobalAveragePool", "AveragePool", "ReduceMean"})
_LAYERS = frozenset({"Gemm", "MatMul", "Conv"})
_KEEPING = frozenset(
    {
        *("Identity", "Dropout", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"),
        *("QuantizeLinear", "DequantizeLinear"),
    }
)
_ACTIVATIONS = frozenset({"Softmax", "Sigmoid"})
_MAX_STEPS = 32  # operations between the feature map and the scores, more than exports have


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassMap:
    """The feature map ``tensor`` of a graph, and how its mean becomes the logits.

    ``weights`` are [L, K], ``bias`` is [L] or one number. ``weights`` is ``None`` if the tensor already has
    one map for each label.
    """

    tensor: str
    weights: NDArray[np.float32] | None
    bias: NDArray[np.float32]

    def order(self, features: NDArray[np.float32], labels: int) -> NDArray[np.float32] | None:
        """One image's features as [K, height, width]; ``None`` if they don't have such a shape."""
        channels = labels if self.weights is None else self.weights.shape[1]
        if features.ndim != 3 or channels not in (len(features), features.shape[2]):
            return None
        return features if len(features) == channels else features.transpose(2, 0, 1)

    def weigh(self, features: NDArray[np.float32], label: int) -> NDArray[np.float32]:
        """What each position [height, width] adds to a label's logit; its mean plus the bias is the logit."""
        if self.weights is None:
            return np.asarray(features[label])
        return np.asarray(np.tensordot(self.weights[label], features, axes=1))

    def compute_logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits [L], computed from the features [K, height, width]."""
        means = features.mean(axis=(1, 2))
        return np.asarray((means if self.weights is None else self.weights @ means) + self.bias)


def find_class_map(path: Path, graph: Graph, scores: str) -> ClassMap | None:
    """The feature map behind the output ``scores``; ``None`` if pooling doesn't feed a linear head.

    ``path`` is the graph's file, for the weights. Raises ``OSError`` and ``ValueError``. Only a few of the
    graph's attributes are known, so compare `ClassMap.compute_logits` with the scores.
    """
    makers = {output: node for node in graph.nodes for output in node.outputs}
    constant = find_constants(graph)
    reader = WeightReader(path, graph)
    name, layer = scores, None
    biases: list[str] = []
    for _ in range(_MAX_STEPS):
        node = makers.get(name)
        varying = [] if node is None else [tensor for tensor in node.inputs if tensor not in constant]
        if node is None or len(varying) != 1:
            return None
        if node.op in _POOLS:
            return _make(reader, varying[0], layer, biases)
        if node.op == "Add" and layer is None:
            biases += [tensor for tensor in node.inputs if tensor in constant]
        elif node.op in _LAYERS and layer is None and varying[0] == node.inputs[0]:
            layer = node
            biases += node.inputs[2:]
        elif node.op not in _KEEPING and (node.op not in _ACTIVATIONS or layer is not None):
            return None
        name = varying[0]
    return None


def _make(reader: WeightReader, tensor: str, layer: Node | None, biases: list[str]) -> ClassMap | None:
    bias = np.zeros(1, np.float32)
    for name in biases:
        added = reader.read(name)
        if added is None:
            return None
        bias = bias + added.astype(np.float32).ravel()
    if layer is None:
        return ClassMap(tensor=tensor, weights=None, bias=bias)
    weights = reader.read(layer.inputs[1])
    if weights is None or weights.ndim != (4 if layer.op == "Conv" else 2):
        return None
    if layer.op == "Conv":
        if weights.shape[2:] != (1, 1):
            return None
        weights = weights[:, :, 0, 0]
    elif layer.op == "MatMul" or not layer.attributes.get("transB"):
        weights = weights.T
    return ClassMap(tensor=tensor, weights=weights.astype(np.float32), bias=bias)
