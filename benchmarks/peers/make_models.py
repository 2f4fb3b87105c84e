"""The same weights for all systems: random ones for ViT-B/16, those of the ONNX file for MobileNetV2.

Runs in the environment of ``make conformance``. Arguments: the folder to fill, the folder of the real
MobileNetV2. Makes ``vit`` (the Hub's layout, with the dynamically quantized files that transformers.js
uses for ``q8`` and ``int8``), and ``vit-torch`` and ``mobilenet_v2-torch`` for transformers.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import transformers
from onnx import numpy_helper
from onnxruntime import InferenceSession
from onnxruntime.quantization import QuantType, quantize_dynamic

OPSET = 18
LABELS = 1000
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def main(work: Path, mobilenet_v2: Path) -> None:
    transformers.logging.set_verbosity_error()
    if not (work / "vit-torch").exists():
        make_vit(work / "vit", work / "vit-torch.part")
        (work / "vit-torch.part").rename(work / "vit-torch")
    if not (work / "mobilenet_v2-torch").exists():
        make_mobilenet_v2(mobilenet_v2, work / "mobilenet_v2-torch.part")
        (work / "mobilenet_v2-torch.part").rename(work / "mobilenet_v2-torch")


def make_vit(hub_folder: Path, torch_folder: Path) -> None:
    """The published ViT-B/16 architecture with random weights, scaled so that scores depend on the image."""
    labels = {number: f"label {number}" for number in range(LABELS)}
    config = transformers.ViTConfig(id2label=labels, label2id={name: n for n, name in labels.items()})
    torch.manual_seed(1)
    model = transformers.ViTForImageClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0, 1.2 / parameter[0].numel() ** 0.5)
    model.save_pretrained(torch_folder)

    (hub_folder / "onnx").mkdir(parents=True, exist_ok=True)
    weights = hub_folder / "onnx" / "model.onnx"
    torch.onnx.export(
        _LogitsOnly(model),
        (torch.randn(2, 3, 224, 224),),
        str(weights),
        dynamo=False,
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=OPSET,
    )
    _check_same(model, weights)
    # As in the scripts of transformers.js: q8 has unsigned weights if the model has a convolution, because
    # signed ones don't run in browsers; int8 has signed ones.
    quantize_dynamic(weights, weights.with_name("model_quantized.onnx"), weight_type=QuantType.QUInt8)
    quantize_dynamic(weights, weights.with_name("model_int8.onnx"), weight_type=QuantType.QInt8)
    shutil.copy(torch_folder / "config.json", hub_folder)
    for folder in (hub_folder, torch_folder):
        (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2))


def make_mobilenet_v2(source: Path, folder: Path) -> None:
    """Copy the ONNX file's convolutions, which include normalization, into transformers' model, in order."""
    values = json.loads((source / "config.json").read_text())
    config = transformers.MobileNetV2Config(**values)
    model = transformers.MobileNetV2ForImageClassification(config).eval()
    weights = source / "onnx" / "model.onnx"
    graph = onnx.load(weights).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    folded = [[arrays[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for layer, norm, (kernel, bias) in zip(layers, norms, folded[:-1], strict=True):
            layer.weight.copy_(torch.tensor(kernel))
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.fill_(1)
            norm.bias.copy_(torch.tensor(bias))
        kernel, bias = folded[-1]
        model.classifier.weight.copy_(torch.tensor(kernel[:, :, 0, 0]))
        model.classifier.bias.copy_(torch.tensor(bias))
    _check_same(model, weights)
    model.save_pretrained(folder)
    shutil.copy(source / "preprocessor_config.json", folder)


class _LogitsOnly(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(pixel_values=pixel_values).logits
        return logits


def _check_same(model: Any, weights: Path) -> None:
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        wanted = model(pixel_values=pixels).logits.numpy()
    session = InferenceSession(weights)
    found = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})[0]
    difference = float(np.abs(wanted - found).max() / np.abs(wanted).max())
    if difference > 1e-3:
        raise SystemExit(f"{weights.parent.parent.name}: torch and ONNX differ by {difference:.1%}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
