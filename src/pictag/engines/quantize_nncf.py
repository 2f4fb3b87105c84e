"""Calibrated quantisation by NNCF: for graphs with attention, and for OpenVINO (extra ``quantize``)."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pictag.engines.quantize_graph import INSTALL, Graph, input_name
from pictag.errors import EngineError, MissingExtra, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from pictag.engines.quantize_target import Target

# Its own errors share no base class but Exception, and it lets through what arises inside.
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
    """Quantise as OpenVINO runs it fastest; gives an ONNX graph.

    With ``attention``, large activations are smoothed into the weights first (SmoothQuant) and softmaxes and
    normalisations stay in float; otherwise activations get unsigned ranges where that fits them, and biases
    are corrected. Raises `MissingExtra` and `EngineError`.
    """
    nncf = import_nncf()
    own = tuple(e for e in vars(nncf.errors).values() if isinstance(e, type) and issubclass(e, Exception))
    name = input_name(graph)

    def feed() -> Iterator[dict[str, NDArray[Any]]]:
        for number, sample in enumerate(samples, start=1):
            on_sample(number)
            yield {name: sample}

    overflow = nncf.OverflowFix.ENABLE if target == "x86" else nncf.OverflowFix.DISABLE
    try:
        with _silence():
            return nncf.quantize(
                graph,
                nncf.Dataset(_Again(feed)),
                preset=None if attention else nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if attention else None,
                subset_size=len(samples),
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
            )
    except (*_FAILURES, *own) as error:
        raise EngineError(f"NNCF could not quantise the graph: {shorten(error)}") from error


def import_nncf() -> ModuleType:
    """The package, quiet, and without the statistics of use that it would send to its makers."""
    hidden = object()
    found: Any = sys.modules.get("openvino_telemetry", hidden)
    if "nncf" not in sys.modules:  # who imported it before has made their own choice
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        with _silence():
            nncf = import_module("nncf")
            import_module("nncf.onnx")
    except ImportError as missing:
        raise MissingExtra(f"Quantising needs the package nncf: {INSTALL}") from missing
    finally:
        if found is hidden:
            sys.modules.pop("openvino_telemetry", None)
        else:
            sys.modules["openvino_telemetry"] = found
    return nncf


class _Again:
    """An iterable that begins anew each time: NNCF goes through the images several times."""

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._start = start

    def __iter__(self) -> Iterator[Any]:
        return self._start()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """It draws bars and logs as it goes; what matters arrives as an exception."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
