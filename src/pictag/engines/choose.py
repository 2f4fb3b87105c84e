"""Chooses the engine. A pure function, so that the choice can be shown and tested."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

Mode = Literal["latency", "throughput"]
Quantization = Literal["none", "static", "dynamic"]

MODES: tuple[Mode, ...] = ("latency", "throughput")
ENGINES = ("auto", "onnxruntime", "openvino")
THROUGHPUT_MIN_IMAGES = 256
"""Minimum number of images for which OpenVINO's compile time (about 1 s) pays off."""

_WHY_NOT_OPENVINO: dict[Quantization, str] = {
    "none": "with float weights, it is about as fast as OpenVINO",
    "static": "OpenVINO, faster with 8-bit integers, is not installed: pip install 'pictag[openvino]'",
    "dynamic": "the graph computes its 8-bit ranges as it runs, which is slow in OpenVINO",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """The engine's name (its module in `pictag.engines`) and the reason for the choice."""

    name: str
    why: str


def choose_engine(
    asked: str, *, mode: Mode, quantization: Quantization, device: str, installed: Collection[str]
) -> EngineChoice:
    """Choose the engine for a few images (``latency``) or many (``throughput``).

    ``asked`` is one of `ENGINES`. ``quantization`` is ``static`` for an 8-bit graph with calibrated ranges
    and ``dynamic`` for one that computes its ranges as it runs. ``installed`` names the engines whose
    packages are installed.

    >>> both = ("onnxruntime", "openvino")
    >>> choose_engine("auto", mode="throughput", quantization="static", device="cpu", installed=both).name
    'openvino'
    >>> choose_engine("auto", mode="latency", quantization="static", device="cpu", installed=both).name
    'onnxruntime'
    """
    if asked != "auto":
        return EngineChoice(name=asked, why=f"engine={asked} was requested")
    if device != "cpu":
        return EngineChoice(name="onnxruntime", why=f"it is the engine that runs on {device}")
    if mode == "latency":
        return EngineChoice(name="onnxruntime", why="it starts fastest, which matters most for few images")
    if quantization == "static" and "openvino" in installed:
        return EngineChoice(name="openvino", why="it is faster with calibrated 8-bit integers")
    return EngineChoice(name="onnxruntime", why=_WHY_NOT_OPENVINO[quantization])


def find_installed() -> tuple[str, ...]:
    """The engines whose packages are installed, without importing them."""
    return tuple(name for name in ENGINES[1:] if find_spec(name) is not None)
