"""Devices and ONNX Runtime's providers for them, as pure functions that can be tested without the hardware.

A device is ``cpu``, ``cuda`` or ``tensorrt``; the last two can have a GPU number, as in ``cuda:1``. TensorRT
runs on the same GPUs: it takes minutes to compile a graph, which then runs faster.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from pictag.errors import MissingExtra, OptionError, shorten

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from pictag.engines.base import TensorInfo

Provider = tuple[str, dict[str, str]]

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
INSTALL = (
    "pip install 'pictag[gpu]', then pip uninstall --yes onnxruntime, then "
    "pip install --force-reinstall --no-deps onnxruntime-gpu"
)
TYPICAL_BATCH = 8
LARGEST_BATCH = 64
"""TensorRT reserves memory for this many images; larger batches are run in chunks."""

_DEVICE = re.compile(r"cpu|(cuda|tensorrt)(?::([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A kind of device, and the number of the GPU."""

    kind: Literal["cpu", "cuda", "tensorrt"]
    index: int = 0


def parse_device(device: str) -> Device:
    """Parse the ``device`` option; raises `OptionError` if it is unknown.

    >>> parse_device("cuda:1")
    Device(kind='cuda', index=1)
    """
    match = _DEVICE.fullmatch(device) if isinstance(device, str) else None
    if match is None:
        raise OptionError(
            f"device={shorten(repr(device))} is unknown. Use cpu, cuda or tensorrt, or with the "
            "number of a GPU: cuda:1, tensorrt:1."
        )
    kind = cast("Literal['cpu', 'cuda', 'tensorrt']", match[1] or "cpu")
    return Device(kind=kind, index=int(match[2] or 0))


def check_device(device: str, engine: str = "auto") -> None:
    """Raise `OptionError` for an unknown device, or one that the engine doesn't support.

    It only parses the options, so it can run before a model is downloaded.

    >>> check_device("cuda", "onnxruntime")
    """
    if parse_device(device).kind != "cpu" and engine not in ("auto", "onnxruntime"):
        raise OptionError(
            f"device={device!r} is not available with engine={shorten(engine)!r}; "
            "use engine='onnxruntime', or device='cpu'."
        )


def name_device(device: Device) -> str:
    """The device for display.

    >>> name_device(Device(kind="tensorrt"))
    'cuda:0, TensorRT'
    """
    if device.kind == "cpu":
        return "cpu"
    return f"cuda:{device.index}" + (", TensorRT" if device.kind == "tensorrt" else "")


def check_providers(device: Device, *, available: Collection[str], packages: Collection[str]) -> None:
    """Raise `MissingExtra` if the installed ONNX Runtime doesn't support the device.

    ``available`` are its providers, ``packages`` the names of its installed packages, which all install the
    same module.
    """
    wanted = _PROVIDERS[device.kind]
    if wanted in available:
        return
    asked = f"device={device.kind!r} needs ONNX Runtime's {wanted}, which"
    if {"onnxruntime", "onnxruntime-gpu"} <= set(packages):
        raise MissingExtra(
            f"{asked} is hidden: onnxruntime and onnxruntime-gpu are both installed and share one module. "
            f"Keep only the second: {INSTALL.partition('then ')[2]}"
        )
    raise MissingExtra(
        f"{asked} the installed package ({', '.join(sorted(packages)) or 'a custom build'}) doesn't have. "
        f"Without an NVIDIA GPU, use device='cpu'. To install it: {INSTALL}"
    )


def choose_providers(
    device: Device, tensor: TensorInfo | None = None, *, compiled_cache: Path | None = None
) -> tuple[Provider, ...]:
    """ONNX Runtime's providers in order of preference, with their options.

    ``tensor`` is the graph's input, if known. ``compiled_cache`` is a folder where TensorRT keeps compiled
    graphs. The CPU always comes last, for operations that the GPU provider lacks.
    """
    host: Provider = (CPU, {})
    if device.kind == "cpu":
        return (host,)
    cuda: Provider = (
        CUDA,
        {
            "device_id": str(device.index),
            # The default doubles the allocated GPU memory each time it grows.
            "arena_extend_strategy": "kSameAsRequested",
            # The default benchmarks all convolution algorithms for each new batch size.
            "cudnn_conv_algo_search": "HEURISTIC",
            # TF32 has 10 bits of mantissa instead of 23, which would change scores.
            "use_tf32": "0",
        },
    )
    if device.kind == "cuda":
        return (cuda, host)
    # Without a precision option, TensorRT computes in the graph's own types.
    options = {"device_id": str(device.index)}
    if compiled_cache is not None:
        folder = os.fspath(compiled_cache)
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    if tensor is not None and tensor.shape[:1] == (None,) and None not in tensor.shape[1:]:
        # Without a profile, each batch larger than those before would compile the graph again.
        for name, batch in (("min", 1), ("opt", TYPICAL_BATCH), ("max", LARGEST_BATCH)):
            sides = "x".join(str(side) for side in (batch, *tensor.shape[1:]))
            options[f"trt_profile_{name}_shapes"] = f"{tensor.name}:{sides}"
    return ((TENSORRT, options), cuda, host)


def choose_chunk_size(device: Device, shape: Sequence[int | None], count: int) -> int | None:
    """How many of ``count`` images go into one run of a graph with this input shape.

    ``None`` means all of them, unpadded; smaller chunks have to be padded to the returned size.

    >>> choose_chunk_size(Device(kind="tensorrt"), (None, 3, None, None), 5)
    8
    """
    batch, *sides = shape
    if batch is not None or device.kind != "tensorrt":
        return batch
    if None in sides:
        # Such a graph is compiled for each new batch size, so only powers of two are used.
        return min(1 << (count - 1).bit_length(), LARGEST_BATCH)
    return LARGEST_BATCH if count > LARGEST_BATCH else None


_PROVIDERS = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}
