"""ONNX Runtime: the engine that is always there, on the CPU and (extra ``pictag[gpu]``) on NVIDIA's cards."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import io
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _native

from pictag.engines.base import FLOATS, Engine, TensorInfo, choose_output, run_in_chunks, to_layout
from pictag.engines.cores import count_cores
from pictag.engines.providers import (
    INSTALL,
    check_providers,
    choose_part,
    choose_providers,
    name_device,
    parse_device,
)
from pictag.errors import EngineError, InvalidModel, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.engines.base import Layout
    from pictag.engines.choose import Mode
    from pictag.engines.providers import Device, Provider

# Each kind of failure that this release of ONNX Runtime raises: they share no base class but Exception.
NATIVE_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    *(c for c in vars(_native).values() if isinstance(c, type) and issubclass(c, Exception)),
)
_WARNINGS, _FATAL_ONLY = 2, 4
# In messages from the depths: what the card's driver says, and the place in the source that stands before.
_DRIVER_SAYS = re.compile(r"(?:CUDA|CUDNN|CUBLAS)\w* failure \d+: [^;]+")
_SIGNATURE = re.compile(r"^/\S+:\d+ .*?\) ")
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


def open_session(
    weights: Path,
    *,
    layout: Layout = "NCHW",
    threads: int | None = None,
    device: str = "cpu",
    mode: Mode = "latency",
    compiled_cache: Path | None = None,
) -> Engine:
    """Open a graph file for inference.

    ``layout`` is what the graph takes; callers always pass [N, C, H, W]. ``threads`` are those of one run,
    by default every core that the process may use; with ``mode="throughput"`` a run has one thread, because
    several threads each decode and run their own images. ``device`` is as `pictag.engines.providers` says.
    ``compiled_cache`` is a folder that keeps what TensorRT compiled for the next start.

    Raises `InvalidModel` for a file that is no usable graph, `OptionError` for a device of no meaning,
    `MissingExtra` where the installed ONNX Runtime was not built for it, and `EngineError` where it was, but
    the card, its driver or a library is missing: the CPU never takes a card's place unasked.
    """
    return OnnxRuntimeEngine(
        weights,
        layout=layout,
        threads=(threads or count_cores()) if mode == "latency" else 1,
        device=parse_device(device),
        compiled_cache=compiled_cache,
    )


class OnnxRuntimeEngine:
    """One ONNX Runtime session. ``run`` may be called from several threads."""

    def __init__(
        self, weights: Path, *, layout: Layout, threads: int, device: Device, compiled_cache: Path | None
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the cores from those that decode: measured on two cores, a
        # stream of images is 10 to 50 % faster without, and one image alone at most 0.4 ms slower.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # On x86 processors without VNNI, the fastest 8-bit products saturate and labels change silently. This
        # setting selects exact kernels there, unless all weights are within ±64; it has no effect elsewhere.
        # MobileNetV2 on AVX2 then agrees with float on 195 of 200 labels instead of 179, and is 4 % slower.
        options.add_session_config_entry("session.x64quantprecision", "1")
        # Failures arrive as exceptions; the library's own log lines would reach the user's terminal.
        options.log_severity_level = _FATAL_ONLY
        if device.kind == "cpu":
            self._session = _open_graph(weights, options, choose_providers(device))
        else:
            self._session = _open_on_card(weights, options, device, compiled_cache)
        self._layout = layout
        self._device = device
        self.inputs = tuple(_describe(i) for i in self._session.get_inputs())
        self.outputs = tuple(_describe(o) for o in self._session.get_outputs())
        self._output = choose_output(self.outputs).name
        self._input = self.inputs[0] if self.inputs else TensorInfo(name="", shape=(), dtype="none")
        self._input_type = np.dtype(self._input.dtype) if self._input.dtype in FLOATS else None

    @property
    def name(self) -> str:
        """The engine and where it runs."""
        return f"onnxruntime ({name_device(self._device)})"

    def run(self, pixel_values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph on float32 [N, C, H, W]; gives float32 [N, labels].

        A graph with a fixed batch is run as often as needed, the last time padded with zeros; one compiled
        by TensorRT likewise for more images than it was compiled for.
        Raises `EngineError` when the run fails.
        """
        session = self._session  # close() may come from another thread: this run is finished all the same
        if session is None:
            raise EngineError("The engine was closed.")
        values = to_layout(pixel_values, layout=self._layout, dtype=self._input_type)
        part = choose_part(self._device, self._input.shape, len(values))
        return run_in_chunks(values, fixed=part, run=lambda values: self._run(session, values))

    def close(self) -> None:
        """Release the session; calling it again does nothing."""
        self._session = None

    def _run(self, session: Any, values: NDArray[Any]) -> NDArray[Any]:
        memory = "cpu" if self._device.kind == "cpu" else "cuda"
        try:
            binding = session.io_binding()  # of this run alone: others may be under way
            bound = onnxruntime.OrtValue.ortvalue_from_numpy(values, memory, self._device.index)
            binding.bind_ortvalue_input(self._input.name, bound)
            binding.bind_output(self._output, "cpu")
            session.run_with_iobinding(binding)
            (scores,) = binding.get_outputs()
            return np.asarray(scores.numpy())
        except NATIVE_ERRORS as error:
            raise EngineError(
                f"ONNX Runtime failed on an input of shape {list(values.shape)}: {shorten(error)}"
            ) from error


def check_installed(device: str) -> None:
    """Raise `MissingExtra` where the installed ONNX Runtime was not built for the device.

    It needs no model, so it can be asked before one is downloaded.
    """
    check_providers(
        parse_device(device),
        available=onnxruntime.get_available_providers(),
        packages=_find_packages(),
    )


def _open_graph(weights: Path, options: Any, providers: Sequence[Provider]) -> Any:
    try:
        # Its own way of falling back to the CPU prints, and says nothing to the caller.
        return onnxruntime.InferenceSession(
            os.fspath(weights), options, providers=list(providers), enable_fallback=0
        )
    except NATIVE_ERRORS as error:
        # A provider that cannot start is the one failure that has no class of its own.
        if len(providers) > 1 and (type(error) is RuntimeError or _DRIVER_SAYS.search(str(error))):
            raise
        raise InvalidModel(
            f"{shorten(weights)} cannot be opened as an ONNX graph: {shorten(error)}"
        ) from error


def _open_on_card(weights: Path, options: Any, device: Device, compiled_cache: Path | None) -> Any:
    check_installed(device.kind)
    unloaded = _load_libraries()
    tensor = None
    if device.kind == "tensorrt":
        tensor = _look_at_input(weights)
        # So its package loads TensorRT; one that the system has is found without.
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module("tensorrt_libs")
    providers = choose_providers(device, tensor, compiled_cache=compiled_cache)
    # A provider's library that cannot be loaded is only logged, by a logger that all sessions share.
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    try:
        session = _open_graph(weights, options, providers)
    except NATIVE_ERRORS as error:
        says = _DRIVER_SAYS.search(str(error))
        raise EngineError(
            _explain(device, says[0] if says else unloaded or _SIGNATURE.sub("", str(error)))
        ) from error
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)
    if providers[0][0] not in session.get_providers():
        raise EngineError(_explain(device, unloaded or "its library or the card's driver cannot be loaded"))
    return session


def _explain(device: Device, reason: str) -> str:
    needs = " TensorRT 10 comes with: pip install 'tensorrt-cu13~=10.0'." * (device.kind == "tensorrt")
    return (
        f"device='{device.kind}:{device.index}' was asked for, but ONNX Runtime cannot compute there: "
        f"{shorten(reason.strip().strip('.'))}. nvidia-smi says whether the card and its driver are there; "
        f"CUDA's libraries come with: {INSTALL}.{needs} Or use device='cpu'."
    )


def _look_at_input(weights: Path) -> TensorInfo | None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = _FATAL_ONLY
    try:
        session = _open_graph(weights, options, choose_providers(parse_device("cpu")))
    except InvalidModel:  # the card may run what the CPU does not
        return None
    return next((_describe(tensor) for tensor in session.get_inputs()), None)


@functools.cache
def _load_libraries() -> str:
    """Load CUDA and cuDNN from where pip put them; gives what could not be loaded, in words."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints, and raises nothing
        onnxruntime.preload_dlls()
    return next((line for line in said.getvalue().splitlines() if line.startswith("Failed")), "")


def _find_packages() -> list[str]:
    names = ("onnxruntime", "onnxruntime-gpu")
    return [name for name in names if any(importlib.metadata.distributions(name=name))]


def _describe(tensor: Any) -> TensorInfo:
    shape = tuple(d if isinstance(d, int) and d > 0 else None for d in tensor.shape or ())
    return TensorInfo(name=tensor.name, shape=shape, dtype=_DTYPES.get(tensor.type, tensor.type))
