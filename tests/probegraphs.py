"""Model folders around graphs written as text: the mean of each channel × 4 → ``l`` [N, 3] → the nodes.

Pixels are in 0…1. A red image of any size has the logits 4, 0, 0. Tests write
``from probegraphs import make_probe, RED``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

LABELS = ("red", "green", "blue")
RED = Image.new("RGB", (40, 30), (255, 0, 0))
LOGITS = np.array([4, 0, 0], np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum()
SIGMOIDS = 1 / (1 + np.exp(-LOGITS))
_HEAD = "gap = GlobalAveragePool(pixel_values) flat = Flatten<axis=1>(gap) l = MatMul(flat, w)"


def make_model(
    nodes: str,
    outputs: str = "float[n,3] y",
    *,
    weights: dict[str, Any] | None = None,
    functions: str = "",
    opset: int = 17,
    batch: str = "n",
) -> onnx.ModelProto:
    """The graph of these nodes, which may read ``l`` and ``weights``, beside those of the head."""
    domains = f'"" : {opset}, "com.microsoft" : 1, "own" : 1'
    model = onnx.parser.parse_model(
        f"<ir_version: 8, opset_import: [{domains}]> g (float[{batch},3,8,8] pixel_values) => ({outputs}) "
        f"{{{_HEAD} {nodes}}} {functions}"
    )
    own: dict[str, NDArray[Any]] = {name: np.asarray(value) for name, value in (weights or {}).items()}
    for name, value in ({"w": 4 * np.eye(3, dtype=np.float32)} | own).items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    return model


def make_probe(folder: Path, nodes: str, outputs: str = "float[n,3] y", **more: Any) -> Path:
    """Write a model folder in the Hub's layout and return it; ``config`` has more keys of ``config.json``."""
    config, labels = more.pop("config", {}), more.pop("labels", LABELS)
    model = make_model(nodes, outputs, **more)
    return write_probe(folder, model, config=config, labels=labels)


def write_probe(
    folder: Path,
    model: onnx.ModelProto,
    *,
    config: dict[str, Any] | None = None,
    labels: tuple[str, ...] = LABELS,
) -> Path:
    """Write a graph with the files that describe it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    named = {"model_type": "vit", "id2label": {str(index): label for index, label in enumerate(labels)}}
    (folder / "config.json").write_text(json.dumps(named | (config or {})))
    preprocessor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 8, "width": 8},
        "do_normalize": False,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder
