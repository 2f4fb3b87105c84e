"""What a model costs: its multiply-adds an image, counted while ONNX Runtime runs it once.

ONNX Runtime's profile states the shapes of all that goes into a node and comes out of it, which a package for
shape inference would be needed for otherwise.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.benchmark.records import GraphWork

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pictag.engines.base import Layout

    Shapes = Sequence[Sequence[int]]

_FATAL_ONLY = 4
_NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}

# Where the second factor stands among the inputs of each operation, as ONNX Runtime names what it makes of a
# graph. Those of 8-bit integers have a name that says so.
_CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = {
    "MatMul": 1, "FusedMatMul": 1, "Gemm": 1, "FusedGemm": 1, "MatMulInteger": 1, "MatMulIntegerToFloat": 1,
    "DynamicQuantizeMatMul": 1, "QLinearMatMul": 3, "QGemm": 3,
}  # fmt: skip
_INTEGERS = ("QLinear", "QGemm", "QAttention", "MatMulInteger", "ConvInteger", "DynamicQuantize")


def count_work(weights: Path, *, shape: Sequence[int], layout: Layout) -> GraphWork | None:
    """Run the graph once, on an image of ``shape`` [1, C, H, W], and count its multiply-adds.

    ``None`` where the graph multiplies nothing that is known here, or ONNX Runtime cannot run it.
    """
    # Not at the top: with OpenVINO it would count as that engine's start, and its memory.
    from pictag.engines.onnxruntime import NATIVE_ERRORS

    # A graph that cannot be run this way, or a profile of an unknown kind.
    unknown: tuple[type[Exception], ...] = (*NATIVE_ERRORS, LookupError, ValueError)
    try:
        batch, events = _profile(weights, shape if layout == "NCHW" else (shape[0], *shape[2:], shape[1]))
        counts = {"float32": 0, "int8": 0}
        for name, inputs, outputs in _read_nodes(events):
            kind = "int8" if name.startswith(_INTEGERS) else "float32"
            counts[kind] += count_multiply_adds(name, inputs, outputs)
    except unknown:
        return None
    total = sum(counts.values()) // batch
    if not total:
        return None
    return GraphWork(multiply_adds=total, arithmetic="int8" if counts["int8"] else "float32")


def _profile(weights: Path, shape: Sequence[int]) -> tuple[int, Sequence[Mapping[str, Any]]]:
    """How many images a run takes, and what ONNX Runtime notes of it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.enable_profiling = True
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    # Weights that were packed for the processor have no shape any more.
    options.add_session_config_entry("session.disable_prepacking", "1")
    with tempfile.TemporaryDirectory(prefix="pictag-bench-") as folder:
        options.profile_file_prefix = os.path.join(folder, "profile")  # noqa: PTH118 - it takes text
        session = onnxruntime.InferenceSession(
            os.fspath(weights), options, providers=["CPUExecutionProvider"]
        )
        entry = session.get_inputs()[0]
        sides = [a if isinstance(a, int) else b for a, b in zip(entry.shape, shape, strict=True)]
        session.run(None, {entry.name: np.zeros(sides, _NUMPY_TYPES[entry.type])})
        return sides[0], json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))


def count_multiply_adds(operation: str, inputs: Shapes, outputs: Shapes) -> int:
    """The multiply-adds of one node, from the shapes of its inputs and outputs; 0 for all but the heavy ones.

    >>> count_multiply_adds("Conv", [[1, 3, 224, 224], [32, 3, 3, 3], [32]], [[1, 32, 112, 112]])
    10838016
    >>> count_multiply_adds("MatMul", [[1, 197, 768], [768, 3072]], [[1, 197, 3072]])
    464781312
    """
    count = 0
    if operation in _CONVOLUTIONS:
        kernel = inputs[_CONVOLUTIONS[operation]]
        count = math.prod(outputs[0]) * math.prod(kernel[1:])
    elif operation == "ConvTranspose":
        count = math.prod(inputs[0]) * math.prod(inputs[1][1:])
    elif operation in _PRODUCTS:
        # [M, K] × [K, N] → [M, N], whichever of them lies transposed: K² = (M·K)(K·N) / (M·N).
        factors = inputs[0], inputs[_PRODUCTS[operation]], outputs[0]
        left, right, face = (math.prod(sides[-2:]) for sides in factors)
        count = math.prod(outputs[0]) * math.isqrt(left * right // max(face, 1))
    elif operation == "MatMulNBits":
        count = math.prod(outputs[0]) * inputs[0][-1]
    elif operation in ("Attention", "QAttention") and len(inputs[1]) == 2:  # with weights, side by side
        batch, length, width = inputs[0]
        joined = inputs[1][-1]
        count = batch * length * (width * joined + 2 * length * joined // 3)
    elif operation in ("Attention", "MultiHeadAttention"):  # of queries [..., length, width] and keys
        count = 2 * math.prod(inputs[0]) * inputs[1][-2]
    return count


def _read_nodes(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Shapes, Shapes]]:
    for event in events:
        facts = event.get("args", {})
        if event.get("cat") == "Node" and "output_type_shape" in facts:
            yield facts["op_name"], _shapes(facts["input_type_shape"]), _shapes(facts["output_type_shape"])


def _shapes(tensors: Sequence[Mapping[str, Sequence[int]]]) -> Shapes:
    return [next(iter(tensor.values()), ()) for tensor in tensors]
