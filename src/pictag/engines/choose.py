"""Which engine a mode is done with: a pure choice, so that it can be foretold, shown and tested."""

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
"""From so many images on a run is worth the second that OpenVINO takes to compile a graph."""


_WHY_NOT_OPENVINO: dict[Quantization, str] = {
    "none": "with weights in float it is about as fast as any",
    "static": "OpenVINO, faster with 8-bit integers, is not installed: pip install 'pictag[openvino]'",
    "dynamic": "the graph finds its 8-bit ranges as it runs, which OpenVINO does slowly",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """The engine's name (its module in `pictag.engines`) and the reason, for people."""

    name: str
    why: str


def choose_engine(
    asked: str, *, mode: Mode, quantization: Quantization, device: str, installed: Collection[str]
) -> EngineChoice:
    """Choose for one image or for many (`THROUGHPUT_MIN_IMAGES` and more).

    ``asked`` is one of `ENGINES`; ``quantization`` says whether the graph computes in 8-bit integers with
    ranges that were calibrated (``static``) or that it finds as it runs (``dynamic``); ``installed`` names
    the engines whose packages are there.

    >>> both = ("onnxruntime", "openvino")
    >>> choose_engine("auto", mode="throughput", quantization="static", device="cpu", installed=both).name
    'openvino'
    >>> choose_engine("auto", mode="latency", quantization="static", device="cpu", installed=both).name
    'onnxruntime'
    """
    if asked != "auto":
        return EngineChoice(name=asked, why=f"engine={asked} was asked for")
    if device != "cpu":
        return EngineChoice(name="onnxruntime", why=f"it is the engine that runs on {device}")
    if mode == "latency":
        return EngineChoice(name="onnxruntime", why="it starts fastest, which decides for few images")
    if quantization == "static" and "openvino" in installed:
        return EngineChoice(name="openvino", why="it is faster with calibrated 8-bit integers")
    return EngineChoice(name="onnxruntime", why=_WHY_NOT_OPENVINO[quantization])


def find_installed() -> tuple[str, ...]:
    """The engines whose packages are installed, without importing them."""
    return tuple(name for name in ENGINES[1:] if find_spec(name) is not None)
