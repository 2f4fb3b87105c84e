"""The reference: transformers' PIL processors, its models, and their ONNX exports."""

from __future__ import annotations

import json
import logging
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from architectures import LABELS, Architecture
from numpy.typing import NDArray
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import SizeDict, load_image
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

transformers.logging.set_verbosity_error()
logging.getLogger("torch.onnx").setLevel(logging.ERROR)

OPSET = 18


class PPLCNetOnPil(PilBackend):
    """PP-LCNet's processor, which transformers has only for torchvision, with the PIL functions."""

    resample = 2
    image_mean = (0.406, 0.456, 0.485)
    image_std = (0.225, 0.224, 0.229)
    size: ClassVar = {"height": 256, "width": 256}
    crop_size: ClassVar = {"height": 224, "width": 224}
    do_resize = do_rescale = do_normalize = do_center_crop = True

    def __init__(self, **values: Any) -> None:
        self.resize_short = values.pop("resize_short", 256)
        self.size_divisor = values.pop("size_divisor", 1)
        super().__init__(**values)

    def resize(self, image: NDArray[Any], size: SizeDict, resample: Any = None, **_: Any) -> NDArray[Any]:
        """The shorter edge to ``resize_short``, rounded, then both up to a multiple."""
        scale = self.resize_short / min(image.shape[-2:])
        edges = [round(edge * scale) for edge in image.shape[-2:]]
        height, width = (-(-edge // self.size_divisor) * self.size_divisor for edge in edges)
        return super().resize(image, SizeDict(height=height, width=width), resample)

    def _preprocess(self, images: list[NDArray[Any]], **options: Any) -> Any:
        """The usual steps, then RGB to BGR."""
        features = super()._preprocess(images, **options)
        values = features["pixel_values"]
        features["pixel_values"] = values.flip(1) if torch.is_tensor(values) else np.stack(values)[:, ::-1]
        return features


def load_processor(folder: Path, configuration: dict[str, Any]) -> Any:
    """The reference's processor, read by the reference from the file in ``folder``."""
    name = configuration.get("image_processor_type", "")
    if name.startswith("PPLCNet") or configuration.get("feature_extractor_type", "").startswith("PPLCNet"):
        return PPLCNetOnPil(**{k: v for k, v in configuration.items() if not k.endswith("_type")})
    return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")


def reference_pixels(processor: Any, path: Path) -> NDArray[np.float32] | None:
    """The reference's pixel values, or ``None`` if it fails on the image."""
    try:
        values = processor(load_image(str(path)), return_tensors="np")["pixel_values"][0]
    except ValueError as error:
        if "must be > 0" not in str(error):
            raise
        return None  # resized to nothing
    return np.asarray(values, dtype=np.float32)


def build_model(model_type: str, architecture: Architecture) -> Any:
    """A tiny model whose scores depend on the image, the same in every run."""
    labels = {n: f"label {n}" for n in range(LABELS)}
    values = {"num_labels": LABELS, **architecture.values}
    config = transformers.AutoConfig.for_model(model_type, **values)
    config.id2label, config.label2id = labels, {label: n for n, label in labels.items()}
    heads = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES[model_type]
    head = architecture.head or (heads if isinstance(heads, str) else heads[0])
    torch.manual_seed(1)
    model = getattr(transformers, head)(config)
    _shake(model, architecture.edge)
    if model_type == "pp_lcnet":  # its head's output has another name than the pipeline expects
        forward = model.forward
        model.forward = types.MethodType(
            lambda self, pixel_values: ImageClassifierOutput(logits=forward(pixel_values).last_hidden_state),
            model,
        )
    return model


def _shake(model: Any, edge: int) -> None:
    """Initial weights are near zero and would hide every difference: use larger ones, and calibrate."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0, 1.2 / max(1, parameter[0].numel()) ** 0.5)
            elif parameter.dim() == 1:
                parameter.normal_(0, 0.1)
                if not name.endswith("bias"):
                    parameter.add_(1.0)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                module.momentum = None
        images = torch.randn(24, 3, edge, edge) + torch.randn(24, 3, 1, 1)
        model.train()
        for _ in range(2):
            _logits(model, images)
        model.eval()
        scale = 1.5 / _logits(model, images).std(0).mean().clamp(min=1e-12)
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and module.out_features == LABELS:
                module.weight.mul_(scale)
                if module.bias is not None:
                    module.bias.mul_(scale)


def _logits(model: Any, images: torch.Tensor) -> torch.Tensor:
    output = model(**{model.main_input_name: images})
    logits: torch.Tensor = output.logits if hasattr(output, "logits") else output.last_hidden_state
    return logits


def write_model(model: Any, edge: int, folder: Path) -> None:
    """The model in the Hub's layout: ``config.json`` and ``onnx/model.onnx``, any batch size."""

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return _logits(self.model, pixel_values)

    classifier = Classifier().eval()  # the exporter would leave the model in training mode
    (folder / "onnx").mkdir()
    (folder / "config.json").write_text(json.dumps(model.config.to_diff_dict()))
    target = str(folder / "onnx" / "model.onnx")
    images = (torch.randn(2, 3, edge, edge),)
    names: dict[str, Any] = {
        "input_names": ["pixel_values"],
        "output_names": ["logits"],
        "opset_version": OPSET,
    }
    try:  # the older exporter is quicker, but lacks a few operators
        axes = {"pixel_values": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(classifier, images, target, dynamo=False, dynamic_axes=axes, **names)
    except (torch.onnx.errors.OnnxExporterError, TypeError):
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(
            classifier, images, target, dynamo=True, dynamic_shapes=shapes, verbose=False, **names
        )
