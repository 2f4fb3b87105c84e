"""Calibrated quantization by NNCF: for graphs with attention, and for OpenVINO (extra ``quantize``)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pictag.engines.quantize_graph import INSTALL, Graph, input_name, suppress_output
from pictag.errors import EngineError, MissingExtra, shorten_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from pictag.engines.quantize_target import Target

# NNCF's own errors share no base class but Exception, and it lets errors of its dependencies through.
_FAILURES: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
)


def quantize_with_nncf(
    graph: Graph,
    samples: Sequence[NDArray[Any]],
    *,
    attention: bool,
    target: Target,
    on_sample: Callable[[int], None],
) -> Graph:
    """Quantize a graph the way OpenVINO runs it fastest; returns an ONNX graph.

    With ``attention``, large activations are first smoothed into the weights (SmoothQuant), and softmaxes and
    normalisations stay in float. Otherwise activations get unsigned ranges where these fit, and biases are
    corrected. Raises `MissingExtra` and `EngineError`.
    """
    nncf = import_nncf()
    own = tuple(e for e in vars(nncf.errors).values() if isinstance(e, type) and issubclass(e, Exception))
    name = input_name(graph)

    def load(index: int) -> dict[str, NDArray[Any]]:
        on_sample(index + 1)
        return {name: samples[index]}

    overflow = nncf.OverflowFix.ENABLE if target == "x86" else nncf.OverflowFix.DISABLE
    try:
        with suppress_output():
            return nncf.quantize(
                graph,
                nncf.Dataset(range(len(samples)), load),
                preset=None if attention else nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if attention else None,
                subset_size=len(samples),
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
            )
    except (*_FAILURES, *own) as error:
        raise EngineError(f"NNCF could not quantize the graph: {shorten_reason(error)}") from error


def import_nncf() -> ModuleType:
    """Import the package silently, and without the usage statistics that it would send."""
    telemetry = sys.modules.get("openvino_telemetry")
    if "nncf" not in sys.modules:  # an application that imported it first decides
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        with suppress_output():
            nncf = import_module("nncf")
            import_module("nncf.onnx")
    except ImportError as missing:
        raise MissingExtra(f"Quantizing needs the package nncf: {INSTALL}") from missing
    finally:
        sys.modules.pop("openvino_telemetry", None)
        if telemetry is not None:
            sys.modules["openvino_telemetry"] = telemetry
    return nncf
