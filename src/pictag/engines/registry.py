"""The engines: one table, from which the library, the command line, the server and the benchmark choose."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pictag.engines.base import Engine
    from pictag.options import EngineOptions, Quantization

ENGINES = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}
"""The package that each engine needs, by the engine's name, which is also its module's."""
ENGINE_NAMES = tuple(ENGINES)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """The engine's name, and the reason in words."""

    name: str
    why: str


def open_engine(name: str, weights: Path, options: EngineOptions, outputs: Sequence[str] = ()) -> Engine:
    """Open a graph with the engine of this name.

    ``outputs`` are tensors of the graph that `Engine.run` is to return after the scores. Raises as the
    engine's ``open_session`` does.
    """
    engine: Engine = import_module(f"pictag.engines.{name}").open_session(weights, options, outputs)
    return engine


def choose_engine(
    asked: str,
    *,
    quantization: Quantization,
    device: str,
    installed: Collection[str],
    has_fast_int8: bool,
) -> EngineChoice:
    """The engine for a model's weights. It never depends on the number of images, so one image has one score.

    ``quantization`` says whether the graph computes in 8-bit integers, with calibrated ranges (``static``) or
    with ranges that it computes as it runs (``dynamic``). ``installed`` names the engines that are installed.
    ``has_fast_int8`` is whether the processor adds 8-bit products without saturating. Without that, OpenVINO
    computes weights beyond ±64 in float, and ONNX Runtime is faster.

    >>> both = ("onnxruntime", "openvino")
    >>> choose_engine(
    ...     "auto", quantization="static", device="cpu", installed=both, has_fast_int8=True
    ... ).name
    'openvino'
    """
    if asked != "auto":
        return EngineChoice(name=asked, why="it was requested")
    if device != "cpu":
        return EngineChoice(name="onnxruntime", why=f"it is the engine that runs on {device}")
    if quantization == "none":
        why = "with float weights the engines are about equally fast"
    elif quantization == "dynamic":
        why = "the graph computes its 8-bit ranges as it runs, which is slow in OpenVINO"
    elif not has_fast_int8:
        why = "this processor has no VNNI instructions, without which OpenVINO is slower with 8-bit integers"
    elif "openvino" not in installed:
        why = (
            "OpenVINO, which is faster with 8-bit integers, is not installed: pip install 'pictag[openvino]'"
        )
    else:
        return EngineChoice(name="openvino", why="it is faster with calibrated 8-bit integers")
    return EngineChoice(name="onnxruntime", why=why)


def list_installed() -> tuple[str, ...]:
    """The engines whose packages are installed, without importing them."""
    return tuple(name for name, package in ENGINES.items() if find_spec(package) is not None)
