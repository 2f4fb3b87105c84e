"""Calibrated quantization with ONNX Runtime's own tools, for convolutional graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pictag.engines.quantize_graph import INSTALL, Graph, input_name, save_graph, suppress_output
from pictag.errors import EngineError, MissingExtra, shorten_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.engines.quantize_target import Target

try:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
except ImportError as missing:
    raise MissingExtra(f"Quantizing needs the package onnx: {INSTALL}") from missing

Ranges = Literal["minmax", "percentile", "entropy"]

_METHODS: dict[Ranges, tuple[Any, dict[str, Any]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
    "entropy": (CalibrationMethod.Entropy, {}),
}
_IMAGES_IN_MEMORY = 1  # images whose activations are kept at the same time
_HISTOGRAM_IMAGES = 64  # histograms take a second per image, and change little after this many


def quantize_statically(
    graph: Graph,
    samples: Sequence[NDArray[Any]],
    *,
    ranges: Ranges,
    target: Target,
    folder: Path,
    on_sample: Callable[[int], None],
) -> Path:
    """Quantize per channel, and return the file written into ``folder``.

    ``ranges`` is the method that finds the ranges of activations. ``samples`` are inputs of the graph for
    one image each. Raises `EngineError` if ONNX Runtime fails.
    """
    plain, ready, quantized = (
        folder / f"{name}.onnx" for name in ("plain", "ready", f"static-{ranges}-{target}")
    )
    method, options = _METHODS[ranges]
    if ranges != "minmax":
        samples = samples[:_HISTOGRAM_IMAGES]
    reader = _Reader(samples, input_name(graph), on_sample)
    save_graph(graph, plain)
    try:
        with suppress_output():
            quant_pre_process(plain, ready, skip_symbolic_shape=True)
            quantize_static(
                ready,
                quantized,
                reader,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=target == "x86",
                activation_type=QuantType.QInt8 if target == "arm" else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=method,
                extra_options={
                    **options,
                    "CalibStridedMinMax": _IMAGES_IN_MEMORY,
                    # Otherwise a ReLU is merged into a quantization, and lost if that node returns to float.
                    "QDQKeepRemovableActivations": True,
                },
            )
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError, NotImplementedError) as error:
        raise EngineError(
            f"ONNX Runtime could not quantize the graph ({ranges}): {shorten_reason(error)}"
        ) from error
    finally:
        plain.unlink(missing_ok=True)
        ready.unlink(missing_ok=True)
    return quantized


class _Reader:
    """The samples as ONNX Runtime's `CalibrationDataReader`: it reads them range by range."""

    def __init__(self, samples: Sequence[NDArray[Any]], name: str, on_sample: Callable[[int], None]) -> None:
        self._samples = samples
        self._name = name
        self._on_sample = on_sample
        self._rest: Iterator[int] = iter(range(len(samples)))

    def __len__(self) -> int:
        return len(self._samples)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._rest = iter(range(start_index, end_index))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        index = next(self._rest, None)
        if index is None:
            return None
        self._on_sample(index + 1)
        return {self._name: self._samples[index]}
