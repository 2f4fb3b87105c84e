"""What exporters write into a graph's metadata about its labels and its images.

Ultralytics writes ``task``, ``names``, ``imgsz`` and ``channels``
(https://github.com/ultralytics/ultralytics/blob/main/ultralytics/engine/exporter.py). Its classifiers take
a centre crop with pixel values from 0 to 1. Custom Vision and the converters for Windows ML write
``Image.BitmapPixelFormat``, ``Image.NominalPixelRange`` and ``Image.ColorSpaceGamma``
(https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md). timm and torch.onnx write nothing about
images.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pictag.errors import InvalidModel, shorten
from pictag.models.labels import read_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_TEXT_BYTES = 64 * 2**20

# Custom Vision's own sample code resizes the whole image; the metadata doesn't say how.
_WHOLE_IMAGE = {"crop": False, "resample": "bicubic"}
_PIXEL_FORMATS: Mapping[str, Mapping[str, Any]] = {
    "gray8": {"channels": 1},
    "rgb8": {"channel_order": "RGB"},
    "rgba8": {"channel_order": "RGB"},
    "bgr8": {"channel_order": "BGR"},
    "bgra8": {"channel_order": "BGR"},
}
_PIXEL_RANGES: Mapping[str, Mapping[str, Any]] = {
    "nominalrange_0_255": {"scale": 1.0, "mean": 0.0, "std": 1.0},
    "nominalrange_16_235": {"scale": 219 / 255, "mean": -16.0, "std": 1.0},
    "normalized_0_1": {"scale": 1 / 255, "mean": 0.0, "std": 1.0},
    "normalized_1_1": {"scale": 1 / 255, "mean": 0.5, "std": 0.5},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What a graph's metadata says.

    ``settings`` are keys of ``pictag.toml``. ``guess`` is what the metadata leaves open, if anything.
    """

    source: str
    settings: Mapping[str, Any]
    labels: tuple[str, ...] | None = None
    guess: str | None = None


def read_metadata(metadata: Mapping[str, str]) -> Exported | None:
    """What a graph's metadata says about its images; ``None`` if nothing. Raises `InvalidModel`.

    >>> read_metadata({"Image.BitmapPixelFormat": "Bgr8"}).settings["channel_order"]
    'BGR'
    """
    if metadata.get("task") == "classify" and "names" in metadata:
        return _read_ultralytics(metadata)
    image = {
        key.lower(): value.lower() for key, value in metadata.items() if key.lower().startswith("image.")
    }
    return _read_windows_ml(image) if image else None


def _read_ultralytics(metadata: Mapping[str, str]) -> Exported:
    names = _parse(metadata, "names", "a table of labels")
    settings: dict[str, Any] = {"scale": 1 / 255, "mean": 0.0, "std": 1.0, "crop": True}
    if "imgsz" in metadata:
        size = _parse(metadata, "imgsz", "a size")
        settings["size"] = size
        # Only the shorter edge is resized for a square; other sizes take the whole image.
        settings["crop"] = not isinstance(size, list) or len(set(map(str, size))) == 1
    if "channels" in metadata:
        settings["channels"] = _parse(metadata, "channels", "a number")
    labels = read_labels({"id2label": names}, where="the graph's metadata 'names'")
    return Exported(source="Ultralytics", labels=labels, settings=settings)


def _read_windows_ml(image: Mapping[str, str]) -> Exported:
    if image.get("image.colorspacegamma") == "linear":
        raise InvalidModel(
            "The graph's metadata 'Image.ColorSpaceGamma' is Linear, and pictag only makes sRGB. Use a model "
            "that takes sRGB."
        )
    settings: dict[str, Any] = dict(_WHOLE_IMAGE)
    for key, known in (("BitmapPixelFormat", _PIXEL_FORMATS), ("NominalPixelRange", _PIXEL_RANGES)):
        value = image.get(f"image.{key.lower()}")
        if value is not None and value not in known:
            raise InvalidModel(
                f"The graph's metadata 'Image.{key}' is {shorten(value, 60)!r}; it is one of "
                f"{', '.join(known)}."
            )
        settings |= known.get(value or "", {})
    guess = "how images are resized"
    if "image.nominalpixelrange" not in image:
        guess += " and what range their values have"
    return Exported(source="Windows ML", settings=settings, guess=guess)


def _parse(metadata: Mapping[str, str], key: str, kind: str) -> Any:
    """The value of a literal of Python, which is never executed."""
    try:
        return ast.literal_eval(metadata[key][:_MAX_TEXT_BYTES].strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise InvalidModel(f"The graph's metadata {key!r} is not {kind}.") from error
