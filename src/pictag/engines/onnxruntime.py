"""ONNX Runtime: the default engine, on the CPU and (extra ``pictag[gpu]``) on NVIDIA GPUs."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import mmap
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _native

from pictag.engines.base import FLOATS, Engine, TensorInfo, name_scores, run_in_chunks, to_layout
from pictag.engines.cores import count_cores
from pictag.engines.providers import (
    INSTALL,
    check_providers,
    choose_chunk_size,
    choose_providers,
    name_device,
    parse_device,
)
from pictag.errors import EngineError, InvalidModel, explain_shortage, shorten, shorten_reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.engines.providers import Device, Provider
    from pictag.options import EngineOptions

# All errors that this release of ONNX Runtime raises: they share no base class but Exception.
NATIVE_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    *(c for c in vars(_native).values() if isinstance(c, type) and issubclass(c, Exception)),
)
_WARNINGS, _FATAL_ONLY = 2, 4
# Exact kernels need some 8-bit constants converted, and ONNX Runtime 1.32 fails if two layers share one.
# Such a graph runs in float instead: the values are the same, but it is slower.
_CONVERTED_TWICE = "Attempt to replace the existing tensor"
# In ONNX Runtime's messages: the driver's own message, and what precedes the reason: the status,
# the file, and the location in the source with the function's signature.
_DRIVER_MESSAGE = re.compile(r"(?:CUDA|CUDNN|CUBLAS)\w* failure \d+: [^;]+")
_STATUS = re.compile(r"^(?:Error in execution: )?(?:\[ONNXRuntimeError\] : \d+ : \w+ : )?")
_LOADING = re.compile(r"^Load model from .*? failed: ?")
_SIGNATURE = re.compile(r"\S+\.(?:cc|cpp|cu|h|hpp):\d+ [^\n]*?\)(?: const)? ")
_TOO_NEW = re.compile(r"Unsupported model IR version|Opset \d+ is under development")
_TOO_NEW_ADVICE = " Upgrade onnxruntime, or export the model with an older opset."
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


def open_session(weights: Path, options: EngineOptions, outputs: Sequence[str] = ()) -> Engine:
    """Open a graph file for inference; ``outputs`` are tensors to return after the scores.

    With ``mode="throughput"`` a run has one thread, because several threads each decode and run their own
    images. ``device`` is as `pictag.engines.providers` says. ``compiled_cache`` is a folder that keeps what
    TensorRT compiled for the next start.

    Raises `InvalidModel` for a file that isn't a usable graph, `OptionError` for an invalid device,
    `MissingExtra` if the installed ONNX Runtime wasn't built for it, and `EngineError` if it was, but the
    GPU, its driver or a library is missing: pictag never falls back to the CPU silently.
    """
    return OnnxRuntimeEngine(weights, options, outputs)


class OnnxRuntimeEngine:
    """One ONNX Runtime session. ``run`` may be called from several threads."""

    def __init__(self, weights: Path, options: EngineOptions, outputs: Sequence[str]) -> None:
        self._device = parse_device(options.device)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = (options.threads or count_cores()) if options.mode == "latency" else 1
        settings.inter_op_num_threads = 1
        # Waiting threads that spin take cores from the decoders. Without spinning, a stream of images is 10
        # to 50 % faster (measured on two cores), and a single image at most 0.4 ms slower.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # On x86 processors without VNNI, the fastest 8-bit products saturate and labels change silently. This
        # setting selects exact kernels there, unless all weights are within ±64; it has no effect elsewhere.
        # MobileNetV2 on AVX2 then agrees with float on 195 of 200 labels instead of 179, and is 10 to 20 %
        # slower.
        settings.add_session_config_entry("session.x64quantprecision", "1")
        # Failures arrive as exceptions; the library's own log lines would reach the user's terminal.
        settings.log_severity_level = _FATAL_ONLY
        if self._device.kind == "cpu":
            self._session = _open_graph(weights, settings, choose_providers(self._device), outputs)
        else:
            self._session = _open_on_gpu(weights, settings, self._device, options.compiled_cache, outputs)
        self._layout = options.layout
        self.inputs = tuple(_describe(i) for i in self._session.get_inputs())
        found = [_describe(o) for o in self._session.get_outputs()]
        self.outputs = tuple(found[: len(found) - len(outputs)])  # the added ones come last
        self._output_names = (name_scores(options, self.outputs), *outputs)
        self._input = self.inputs[0] if self.inputs else TensorInfo(name="", shape=(), dtype="none")
        self._input_type = np.dtype(self._input.dtype) if self._input.dtype in FLOATS else None

    @property
    def name(self) -> str:
        """The engine and where it runs."""
        return f"onnxruntime ({name_device(self._device)})"

    def run(self, pixel_values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run the graph on float32 [N, C, H, W]; returns float32 [N, labels], then the other outputs.

        A graph with a fixed batch size runs several times, with the last batch padded with zeros. So does a
        graph compiled by TensorRT if there are more images than it was compiled for.
        Raises `EngineError` if the run fails.
        """
        session = self._session  # close() in another thread lets this run finish
        if session is None:
            raise EngineError("The engine was closed.")
        values = to_layout(pixel_values, layout=self._layout, dtype=self._input_type)
        fixed = self._input.shape[0]
        if self._device.kind == "tensorrt":
            fixed = choose_chunk_size(self._device, self._input.shape, len(values))
        return run_in_chunks(
            values, fixed=fixed, names=self._output_names, run=functools.partial(self._run, session)
        )

    def close(self) -> None:
        """Release the session; calling it again does nothing."""
        self._session = None

    def _run(self, session: Any, values: NDArray[Any]) -> list[NDArray[Any]]:
        memory = "cpu" if self._device.kind == "cpu" else "cuda"
        try:
            binding = session.io_binding()  # one per run: several may be in progress
            bound = onnxruntime.OrtValue.ortvalue_from_numpy(values, memory, self._device.index)
            binding.bind_ortvalue_input(self._input.name, bound)
            names = tuple(dict.fromkeys(self._output_names))  # a name that is bound twice gives one array
            for name in names:
                binding.bind_output(name, "cpu")
            session.run_with_iobinding(binding)
            found = dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))
        except NATIVE_ERRORS as error:
            raise EngineError(
                f"ONNX Runtime failed on an input of shape {list(values.shape)}: {_find_reason(error)}."
            ) from error
        return [found[name] for name in self._output_names]


def check_installed(device: str) -> None:
    """Raise `MissingExtra` if the installed ONNX Runtime doesn't support the device.

    It needs no model, so it can run before the download.
    """
    check_providers(
        parse_device(device),
        available=onnxruntime.get_available_providers(),
        packages=_find_packages(),
    )


def _open_graph(
    weights: Path,
    settings: Any,
    providers: Sequence[Provider],
    outputs: Sequence[str] = (),
    *,
    in_float: bool = False,
) -> Any:
    source: str | bytes = os.fspath(weights)
    if outputs:
        # Protobuf messages that follow each other merge, so fields at the end add outputs to the graph. An
        # output that the graph has already is then listed twice, which ONNX Runtime allows.
        source = weights.read_bytes() + b"".join(_encode_output(name) for name in outputs)
        settings.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", os.fspath(weights.parent)
        )
    linked = _map_linked_files(weights) if outputs and weights.is_symlink() else {}
    if linked and hasattr(settings, "add_external_initializers_from_files_in_memory"):
        settings.add_external_initializers_from_files_in_memory(
            list(linked), list(linked.values()), [len(content) for content in linked.values()]
        )
    try:
        # ONNX Runtime's own fallback to the CPU only prints a message, so the caller wouldn't know of it.
        return onnxruntime.InferenceSession(source, settings, providers=list(providers), enable_fallback=0)
    except NATIVE_ERRORS as error:
        if _CONVERTED_TWICE in str(error) and not in_float:
            settings.add_session_config_entry("session.disable_quant_qdq", "1")
            return _open_graph(weights, settings, providers, outputs, in_float=True)
        # Only a provider that cannot start raises a plain RuntimeError.
        if len(providers) > 1 and (type(error) is RuntimeError or _DRIVER_MESSAGE.search(str(error))):
            raise
        if shortage := explain_shortage(error):
            raise EngineError(f"ONNX Runtime can't open {shorten(weights)}. {shortage}") from error
        raise InvalidModel(
            f"{shorten(weights)} cannot be opened as an ONNX graph: {_find_reason(error)}."
            f"{_TOO_NEW_ADVICE if _TOO_NEW.search(str(error)) else ''}"
        ) from error


def _map_linked_files(weights: Path) -> dict[str, mmap.mmap]:
    """The links beside a graph that may hold its weights, as in the Hub's cache, mapped into memory.

    ONNX Runtime follows a link only from a link: not if the graph is given as bytes. Earlier releases, which
    can't be given files, follow all links.
    """
    mapped = {}
    for path in weights.parent.iterdir():
        if path.is_symlink() and path.suffix != ".onnx" and path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                mapped[path.name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return mapped


def _encode_output(name: str) -> bytes:
    """ModelProto.graph (7) → GraphProto.output (12) → ValueInfoProto.name (1)."""
    field = name.encode()
    for tag in (b"\x0a", b"\x62", b"\x3a"):
        field = tag + _encode_length(len(field)) + field
    return field


def _encode_length(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _open_on_gpu(
    weights: Path, options: Any, device: Device, compiled_cache: Path | None, outputs: Sequence[str]
) -> Any:
    check_installed(device.kind)
    unloaded = _load_libraries()
    tensor = None
    if device.kind == "tensorrt":
        tensor = _look_at_input(weights)
        # Importing the package loads TensorRT. A system-wide installation is found without it.
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module("tensorrt_libs")
    providers = choose_providers(device, tensor, compiled_cache=compiled_cache)
    # A provider library that can't be loaded is only logged, by a logger shared by all sessions.
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    try:
        session = _open_graph(weights, options, providers, outputs)
    except NATIVE_ERRORS as error:
        driver = _DRIVER_MESSAGE.search(str(error))
        raise EngineError(
            _explain(device, driver[0] if driver else unloaded or _find_reason(error))
        ) from error
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)
    if providers[0][0] not in session.get_providers():
        raise EngineError(_explain(device, unloaded or "its library or the GPU's driver cannot be loaded"))
    return session


def _explain(device: Device, reason: str) -> str:
    needs = " To install TensorRT 10: pip install 'tensorrt-cu13~=10.0'." * (device.kind == "tensorrt")
    return (
        f"device='{device.kind}:{device.index}' was requested, but ONNX Runtime cannot use it: "
        f"{shorten_reason(reason)}. nvidia-smi shows whether the GPU and its driver work. "
        f"To install CUDA's libraries: {INSTALL}.{needs} Or use device='cpu'."
    )


def _find_reason(error: Exception) -> str:
    """The reason in one of ONNX Runtime's messages, without its status, file and location in the source.

    >>> _find_reason(RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Load model from a.onnx failed:"
    ...     "/src/model.cc:256 onnxruntime::Model::Model(Proto&&, bool) Unsupported IR version: 99\\n"))
    'Unsupported IR version: 99'
    """
    text = _LOADING.sub("", _STATUS.sub("", str(error)))
    return shorten_reason(_SIGNATURE.sub("", text))


def _look_at_input(weights: Path) -> TensorInfo | None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = _FATAL_ONLY
    try:
        session = _open_graph(weights, options, choose_providers(parse_device("cpu")))
    except InvalidModel:  # the GPU may support operations that the CPU doesn't
        return None
    return next((_describe(tensor) for tensor in session.get_inputs()), None)


@functools.cache
def _load_libraries() -> str:
    """Load CUDA and cuDNN from pip's packages; returns the message about a failure, or ``""``."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):  # it prints, and raises nothing
        onnxruntime.preload_dlls()
    return next((line for line in output.getvalue().splitlines() if line.startswith("Failed")), "")


def _find_packages() -> list[str]:
    from importlib.metadata import distributions  # takes 10 ms to import, and only GPUs need it

    names = ("onnxruntime", "onnxruntime-gpu")
    return [name for name in names if any(distributions(name=name))]


def _describe(tensor: Any) -> TensorInfo:
    shape = tuple(d if isinstance(d, int) and d > 0 else None for d in tensor.shape or ())
    return TensorInfo(name=tensor.name, shape=shape, dtype=_DTYPES.get(tensor.type, tensor.type))
