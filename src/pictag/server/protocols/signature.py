"""A model's inputs and outputs in the terms of the Open Inference Protocol."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pictag.pipelines.outputs import require_output
from pictag.server.http_errors import BadRequest
from pictag.server.settings import MAX_IMAGES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pictag.execution import ModelRunner
    from pictag.server.settings import ServerSettings

VERSION = "1"  # of every model
_HEAD_BYTES = 1024  # the JSON before the tensor
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The names and shapes of a graph's tensors, in the graph's own ``layout``.

    -1 is a dimension of any size; the first dimension is the batch.
    """

    input: str
    shape: tuple[int, ...]
    layout: str
    output: str
    label_count: int
    platform: str

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise `BadRequest` if a tensor doesn't have this shape."""
        if len(shape) != len(self.shape) or any(
            expected not in (-1, given) for expected, given in zip(self.shape, shape, strict=True)
        ):
            raise BadRequest(f"The input {self.input!r} has the shape {list(self.shape)}, not {list(shape)}.")

    def order(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """The tensor as [N, C, H, W]."""
        return tensor if self.layout == "NCHW" else tensor.transpose(0, 3, 1, 2)


def read_signature(runner: ModelRunner) -> Signature:
    """The signature of a loaded model."""
    model, engine = runner.model, runner.engine
    graph = engine.inputs[0]
    size = model.spec.output_size or (None, None)
    prepared = (model.spec.channels, *size) if model.layout == "NCHW" else (*size, model.spec.channels)
    sides = [theirs or mine for theirs, mine in zip(graph.shape[1:], prepared, strict=True)]
    return Signature(
        input=graph.name,
        shape=(-1, *(-1 if side is None else side for side in sides)),
        layout=model.layout,
        output=require_output(model),
        label_count=len(model.labels),
        platform=f"{engine.name.partition(' ')[0]}_onnx",
    )


def metadata_of(name: str, signature: Signature) -> dict[str, Any]:
    """The response to ``GET /v2/models/{model}``."""
    return {
        "name": name,
        "versions": [VERSION],
        "platform": signature.platform,
        "inputs": [{"name": signature.input, "datatype": "FP32", "shape": list(signature.shape)}],
        "outputs": [{"name": signature.output, "datatype": "FP32", "shape": [-1, signature.label_count]}],
    }


def max_batch_size(settings: ServerSettings, signature: Signature) -> int:
    """How many images one request may send as a tensor within the server's limits; at least one.

    A dimension of any size counts as 1.
    """
    size_bytes = _FLOAT_BYTES * math.prod(max(1, side) for side in signature.shape[1:])
    room_bytes = min(settings.max_body_bytes - _HEAD_BYTES, settings.max_queued_bytes)
    return max(1, min(MAX_IMAGES, settings.max_queue, room_bytes // size_bytes))


def config_of(name: str, signature: Signature, *, max_batch_size: int) -> dict[str, Any]:
    """The response to ``GET /v2/models/{model}/config``; dimensions are those of one image."""
    return {
        "name": name,
        "platform": signature.platform,
        "backend": signature.platform.removesuffix("_onnx"),
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": max_batch_size,
        "input": [
            {
                "name": signature.input,
                "data_type": "TYPE_FP32",
                "format": f"FORMAT_{signature.layout}",
                "dims": list(signature.shape[1:]),
            }
        ],
        "output": [{"name": signature.output, "data_type": "TYPE_FP32", "dims": [signature.label_count]}],
    }
