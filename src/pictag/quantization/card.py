"""The card of a quantized model: the original, the method, and the measured agreement and speed."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from pictag.models.output_folder import folder_of

if TYPE_CHECKING:
    from pathlib import Path

    from pictag.models.load import Model
    from pictag.quantization.calibration import CalibrationOptions
    from pictag.quantization.records import Artefact, Report

_TOOLS = ("pictag", "onnxruntime", "nncf", "openvino", "onnx")
SCHEMA = 2  # 1 had bar, reaches_bar and left_in_float
# Facts about the original's own file, which don't apply to the quantized one.
_NOT_CARRIED = ("files", "evaluation", "quantization", "name", "revision")


def make_card(
    model: Model, report: Report, options: CalibrationOptions, *, original_sha256: str
) -> dict[str, Any]:
    """The card as JSON. It holds names of folders, never paths of this machine."""
    original = model.card
    carried = {key: value for key, value in original.details.items() if key not in _NOT_CARRIED}
    # Of a model on the Hub, these aren't in its folder.
    carried |= {key: getattr(original.knowledge, key) for key in original.knowledge.sources}
    if original.licence is not None:
        carried["licence"] = original.licence
    names = {"folder": folder_of(model).resolve().name, "file": model.weights.name}
    return carried | {
        "files": {
            artefact.path: {"sha256": artefact.sha256, "bytes": artefact.size_bytes}
            for artefact in report.artefacts
        },
        "quantization": {
            "schema": SCHEMA,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "original": {
                "model": names.get(original.kind, original.name),
                "revision": original.revision,
                "weights": original.weights,
                "sha256": original_sha256,
                "bytes": report.original_bytes,
                "has_attention": report.has_attention,
            },
            "processor": report.processor,
            "calibration": {"folder": _name(options.calibrate), "images": report.calibration_images},
            "check": {
                "folder": _name(options.check or options.calibrate),
                "images": report.check_images,
                "held_out_from_calibration": report.check_held_out,
            },
            "images_left_out": len(report.skipped),
            "threshold": report.threshold,
            "reaches_threshold": report.lowest_top1 >= report.threshold,
            "artefacts": {artefact.path: _describe(artefact) for artefact in report.artefacts},
            "tools": {name: next((d.version for d in distributions(name=name)), None) for name in _TOOLS},
        },
    }


def _describe(artefact: Artefact) -> dict[str, Any]:
    return {
        "method": artefact.method,
        "float_nodes": list(artefact.float_nodes),
        "engines": {
            engine: {
                "agreement": _rounded(dataclasses.asdict(artefact.agreement[engine])),
                "images_per_second": _rounded(dataclasses.asdict(artefact.speed[engine])),
            }
            for engine in artefact.agreement
        },
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 5 if abs(v) < 10 else 1) if isinstance(v, float) else v for k, v in values.items()}


def _name(folder: Path) -> str:
    return folder.name or folder.resolve().name
