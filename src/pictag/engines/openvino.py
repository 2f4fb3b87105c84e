"""OpenVINO: the faster engine for many images on Intel and AMD processors (extra ``pictag[openvino]``)."""

from __future__ import annotations

import functools
import itertools
import os
import queue
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.engines.base import FLOATS, Engine, TensorInfo, name_scores, run_in_chunks, to_layout
from pictag.engines.cores import count_cores
from pictag.engines.quantize_target import has_fast_int8
from pictag.errors import (
    EngineError,
    InvalidModel,
    MissingExtra,
    OptionError,
    explain_shortage,
    shorten,
    shorten_reason,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.options import EngineOptions

try:
    import openvino
    from openvino import frontend
except ImportError as missing:
    raise MissingExtra(
        "engine='openvino' needs the package openvino: pip install 'pictag[openvino]'"
    ) from missing

_SMALL_BYTES = 8 * 2**20  # graphs this small take a few milliseconds per image

# The errors of the ONNX reader, which share no base class but Exception.
_UNREADABLE: tuple[type[Exception], ...] = (
    RuntimeError,
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
)


def open_session(weights: Path, options: EngineOptions, outputs: Sequence[str] = ()) -> Engine:
    """Compile a graph file for inference; ``outputs`` are tensors to return after the scores.

    With ``mode="latency"`` all threads share one run. With ``"throughput"`` each has its own run; small
    graphs run in the caller's thread, and at most ``threads`` at a time. ``precision="bf16"`` is faster where
    the processor has it, and changes scores in the third decimal place. ``compiled_cache`` is a folder that
    keeps the compiled graph for the next start.

    Raises `InvalidModel` for a file that isn't a usable graph, and `OptionError` for a device other than the
    CPU, or a precision that the processor doesn't have.
    """
    if options.device != "cpu":
        raise OptionError(
            f"device={shorten(options.device)!r} is not available with OpenVINO; use device='cpu'."
        )
    core = openvino.Core()
    if options.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise OptionError("precision='bf16' needs a processor with bfloat16 arithmetic; use 'f32' here.")
    return OpenVinoEngine(weights, core, options, outputs)


class OpenVinoEngine:
    """One compiled graph with a pool of requests. ``run`` may be called from several threads."""

    def __init__(self, weights: Path, core: Any, options: EngineOptions, outputs: Sequence[str]) -> None:
        threads = options.threads or count_cores()
        try:
            # By name, because OpenVINO would otherwise try all its readers, and some of them print.
            reader = frontend.FrontEndManager().load_by_framework("onnx")
            graph = reader.convert(reader.load(os.fspath(weights)))
            # OpenVINO runs concurrent requests in its own threads. For small graphs, switching threads takes
            # a tenth of the time and loses the caller's cache. A graph compiled for one thread runs in the
            # caller's thread, so small graphs are compiled once per thread.
            constants = [op for op in graph.get_ops() if op.get_type_name() == "Constant"]
            has_copies = (
                options.mode == "throughput" and sum(op.get_byte_size() for op in constants) <= _SMALL_BYTES
            )
            self._max_copies = threads if has_copies else 0
            streams = 1 if has_copies or options.mode == "latency" else threads
            settings: dict[str, Any] = {
                "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": 1 if has_copies else threads,
                # OpenVINO's own default is bfloat16 where the processor has it, which changes scores.
                "INFERENCE_PRECISION_HINT": options.precision,
            }
            if has_copies:
                settings["ENABLE_CPU_PINNING"] = False  # another thread may be busy on that core
            if _saturates(constants):
                settings["LP_TRANSFORMS_MODE"] = False
            if options.compiled_cache is not None:
                settings["CACHE_DIR"] = os.fspath(options.compiled_cache)
            own = [_describe(port) for port in graph.outputs]
            for name in outputs:
                if not any(name in port.get_names() for port in graph.outputs):
                    graph.add_outputs(name)
            self._compiled: Any = core.compile_model(graph, "CPU", settings)
            # Compiling again needs the graph, so only small graphs are kept in memory.
            again = functools.partial(core.compile_model, graph, "CPU", settings)
            self._compile: Any = again if has_copies else None
        except _UNREADABLE as error:
            if shortage := explain_shortage(error):
                raise EngineError(f"OpenVINO can't open {shorten(weights)}. {shortage}") from error
            raise InvalidModel(
                f"{shorten(weights)} cannot be opened by OpenVINO: {_explain(error)}"
            ) from error
        self._layout = options.layout
        self._precision = options.precision
        self.inputs = tuple(_describe(port) for port in self._compiled.inputs)
        self.outputs = tuple(_describe(port) for port in self._compiled.outputs[: len(own)])
        self._output_names = (name_scores(options, self.outputs), *outputs)
        self._output_indices = [self._find_output(name) for name in self._output_names]
        self._input = self.inputs[0] if self.inputs else TensorInfo(name="", shape=(), dtype="none")
        self._input_type = np.dtype(self._input.dtype) if self._input.dtype in FLOATS else None
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._idle.put(self._compiled.create_infer_request())
        self._copies = itertools.count(1)

    @property
    def name(self) -> str:
        """The engine and where it runs."""
        return f"openvino (cpu, {self._precision})"

    def run(self, pixel_values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run the graph on float32 [N, C, H, W]; returns float32 [N, labels], then the other outputs.

        Raises `EngineError` if the run fails.
        """
        compiled = self._compiled  # close() in another thread lets this run finish
        if compiled is None:
            raise EngineError("The engine was closed.")
        values = to_layout(pixel_values, layout=self._layout, dtype=self._input_type)
        idle = self._idle
        request = self._take_request(idle, compiled)
        try:
            return run_in_chunks(
                values,
                fixed=self._input.shape[0],
                names=self._output_names,
                run=functools.partial(self._run, request),
            )
        finally:
            idle.put(request)

    def close(self) -> None:
        """Release the compiled graph; calling it again does nothing."""
        self._compiled = self._compile = None
        self._idle = queue.SimpleQueue()

    def _find_output(self, name: str) -> int:
        ports = self._compiled.outputs
        return next(index for index, port in enumerate(ports) if name in port.get_names() or not name)

    def _take_request(self, idle: queue.SimpleQueue[Any], compiled: Any) -> Any:
        try:
            return idle.get_nowait()
        except queue.Empty:
            pass
        if not self._max_copies:
            return compiled.create_infer_request()
        compile_ = self._compile
        if compile_ is None or next(self._copies) >= self._max_copies:
            return idle.get()
        try:
            return compile_().create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot compile the graph once more: {_explain(error)}") from error

    def _run(self, request: Any, values: NDArray[Any]) -> list[NDArray[Any]]:
        try:
            # The input is shared with the request, the result is copied.
            request.infer({0: values}, share_inputs=True)
            return [np.array(request.get_output_tensor(index).data) for index in self._output_indices]
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"OpenVINO failed on an input of shape {list(values.shape)}: {_explain(error)}"
            ) from error


def _saturates(constants: Iterable[Any]) -> bool:
    """Whether 8-bit products with these weights saturate: on x86 without VNNI, if any is beyond ±64.

    Such a graph is computed in float, because saturation changes labels silently. MobileNetV2 on AVX2 then
    agrees with float on 196 of 200 labels instead of 182, at half the speed.
    """
    if has_fast_int8():
        return False
    weights = (op.data for op in constants if op.get_element_type() == openvino.Type.i8)
    return any(w.size and (w.min() < -64 or w.max() > 64) for w in weights)


def _describe(port: Any) -> TensorInfo:
    shape = tuple(None if side.is_dynamic else side.get_length() for side in port.get_partial_shape())
    names = sorted(port.get_names())
    return TensorInfo(
        name=names[0] if names else "", shape=shape, dtype=str(port.get_element_type().to_dtype())
    )


def _explain(error: Exception) -> str:
    """The message without the locations in OpenVINO's source, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    informative = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return shorten_reason(" ".join(informative or lines) or "no reason given")
