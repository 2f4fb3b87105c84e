"""A tiny classifier of an image's colour, in the Hub's layout.

It averages each channel, so its result is predictable: a red image of any size is "red".
Tests write ``from tinymodel import make_tiny_model, make_image``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def make_graph(
    *,
    size: int | None = 8,
    labels: int = 3,
    batch: int | None = None,
    softmax: bool = False,
    sharpness: float = 2.0,
) -> onnx.ModelProto:
    """The graph: [N, 3, size, size] in -1…1 → mean of each channel × ``sharpness`` → [N, labels].

    Labels beyond the third score the negated channels 0, 1, 2, 0, … each a little lower.
    """
    weights = np.zeros((3, labels), np.float32)
    for index in range(labels):
        weights[index % 3, index] = sharpness if index < 3 else -sharpness / (index + 1)
    output = "probabilities" if softmax else "logits"
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["scores" if softmax else output]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], [output], axis=-1))
    side: int | str = size if size is not None else "side"
    first: int | str = batch if batch is not None else "batch"
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [first, 3, side, side])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [first, labels])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def make_tiny_model(
    folder: Path,
    *,
    labels: tuple[str, ...] = ("red", "green", "blue"),
    size: int = 8,
    batch: int | None = None,
    sharpness: float = 2.0,
    files: tuple[str, ...] = ("onnx/model.onnx",),
) -> Path:
    """Write the model into ``folder``, which is created if missing, and return the folder."""
    graph = make_graph(size=size, labels=len(labels), batch=batch, sharpness=sharpness)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(graph, folder / name)
    config = {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "image_size": size,
        "num_channels": 3,
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    preprocessor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2), encoding="utf-8")
    return folder


def make_image(path: Path, colour: str = "red", *, size: tuple[int, int] = (12, 9)) -> Path:
    """Write an image of one colour ("red", "green", "blue") and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[colour]).save(path)
    return path
