"""ONNX Runtime: the engine that is always there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _native

from pictag.engines.base import FLOATS, Engine, TensorInfo, choose_output, order_axes, run_in_parts
from pictag.engines.cores import count_cores
from pictag.errors import EngineError, InvalidModel, OptionError, shorten

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.engines.base import Layout

# Each kind of failure that this release of ONNX Runtime raises: they share no base class but Exception.
NATIVE_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    *(c for c in vars(_native).values() if isinstance(c, type) and issubclass(c, Exception)),
)
_FATAL_ONLY = 4
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


def open_session(
    weights: Path, *, layout: Layout = "NCHW", threads: int | None = None, device: str = "cpu"
) -> Engine:
    """Open a graph file for inference.

    ``layout`` is what the graph takes; callers always pass [N, C, H, W]. ``threads`` are those of one run,
    by default every core that the process may use.

    Raises `InvalidModel` for a file that is no usable graph and `OptionError` for a device that is not there.
    """
    return OnnxRuntimeEngine(weights, layout=layout, threads=threads or count_cores(), device=device)


class OnnxRuntimeEngine:
    """One ONNX Runtime session. ``run`` may be called from several threads."""

    def __init__(self, weights: Path, *, layout: Layout, threads: int, device: str) -> None:
        if device != "cpu":
            raise OptionError(f"device={shorten(device)!r} is not available; pictag runs on device='cpu'.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the cores from those that decode: measured on two cores, a
        # stream of pictures is 10 to 50 % faster without, and one picture alone at most 0.4 ms slower.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # What goes wrong arrives as an exception; the library's own lines would land on the user's terminal.
        options.log_severity_level = _FATAL_ONLY
        try:
            self._session: Any = onnxruntime.InferenceSession(
                os.fspath(weights), options, providers=["CPUExecutionProvider"]
            )
        except NATIVE_ERRORS as error:
            raise InvalidModel(
                f"{shorten(weights)} cannot be opened as an ONNX graph: {shorten(error)}"
            ) from error
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
        return f"onnxruntime ({self._device})"

    def run(self, pixel_values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph on float32 [N, C, H, W]; gives float32 [N, labels].

        A graph with a fixed batch is run as often as needed, the last time padded with zeros.
        Raises `EngineError` when the run fails.
        """
        session = self._session  # close() may come from another thread: this run is finished all the same
        if session is None:
            raise EngineError("The engine was closed.")
        values = order_axes(pixel_values, layout=self._layout, dtype=self._input_type)
        return run_in_parts(values, fixed=self._input.shape[0], run=lambda part: self._run(session, part))

    def close(self) -> None:
        """Release the session; calling it again does nothing."""
        self._session = None

    def _run(self, session: Any, values: NDArray[Any]) -> NDArray[Any]:
        try:
            (scores,) = session.run([self._output], {self._input.name: values})
        except NATIVE_ERRORS as error:
            raise EngineError(
                f"ONNX Runtime failed on an input of shape {list(values.shape)}: {shorten(error)}"
            ) from error
        return np.asarray(scores)


def _describe(tensor: Any) -> TensorInfo:
    shape = tuple(d if isinstance(d, int) and d > 0 else None for d in tensor.shape or ())
    return TensorInfo(name=tensor.name, shape=shape, dtype=_DTYPES.get(tensor.type, tensor.type))
