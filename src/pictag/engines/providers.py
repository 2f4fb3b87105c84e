"""Where ONNX Runtime computes: pure choices, so that they can be tested without the hardware.

A device is ``cpu``, ``cuda`` or ``tensorrt``, the last two with the card's number behind a colon where it is
not 0. TensorRT runs on the same cards: it compiles a graph for minutes and then computes faster.
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
"""TensorRT sets memory aside for this many images; larger batches are run in parts."""

_DEVICE = re.compile(r"cpu|(cuda|tensorrt)(?::([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What computes, and the number of the card."""

    kind: Literal["cpu", "cuda", "tensorrt"]
    index: int = 0


def parse_device(device: str) -> Device:
    """The device that an option names; raises `OptionError` for one of no meaning.

    >>> parse_device("cuda:1")
    Device(kind='cuda', index=1)
    """
    match = _DEVICE.fullmatch(device) if isinstance(device, str) else None
    if match is None:
        raise OptionError(
            f"device={shorten(repr(device))} is not known; there are: cpu, cuda, tensorrt, "
            "and with the number of a card cuda:1, tensorrt:1."
        )
    kind = cast("Literal['cpu', 'cuda', 'tensorrt']", match[1] or "cpu")
    return Device(kind=kind, index=int(match[2] or 0))


def check_device(device: str, engine: str = "auto") -> None:
    """Raise `OptionError` for a device of no meaning, or one that the engine does not run on.

    It looks at the words alone, so it can be asked before a model is downloaded.

    >>> check_device("cuda", "onnxruntime")
    """
    if parse_device(device).kind != "cpu" and engine not in ("auto", "onnxruntime"):
        raise OptionError(
            f"device={device!r} is not available with engine={shorten(engine)!r}; "
            "use engine='onnxruntime', or device='cpu'."
        )


def name_device(device: Device) -> str:
    """The device in words.

    >>> name_device(Device(kind="tensorrt"))
    'cuda:0, TensorRT'
    """
    if device.kind == "cpu":
        return "cpu"
    return f"cuda:{device.index}" + (", TensorRT" if device.kind == "tensorrt" else "")


def check_providers(device: Device, *, available: Collection[str], packages: Collection[str]) -> None:
    """Raise `MissingExtra` where the installed ONNX Runtime was not built for the device.

    ``available`` are the providers that it was built with, ``packages`` the names of those of its packages
    that are installed: all of them put the same module in the same place.
    """
    wanted = _PROVIDERS[device.kind]
    if wanted in available:
        return
    asked = f"device={device.kind!r} needs ONNX Runtime's {wanted}, which"
    if {"onnxruntime", "onnxruntime-gpu"} <= set(packages):
        raise MissingExtra(
            f"{asked} is hidden: onnxruntime and onnxruntime-gpu are both installed and share one module. "
            f"Keep the second alone: {INSTALL.partition('then ')[2]}"
        )
    raise MissingExtra(
        f"{asked} the installed package ({', '.join(sorted(packages)) or 'built by hand'}) lacks; it has: "
        f"{', '.join(available)}. To install it: {INSTALL}"
    )


def choose_providers(
    device: Device, tensor: TensorInfo | None = None, *, compiled_cache: Path | None = None
) -> tuple[Provider, ...]:
    """ONNX Runtime's providers in their order of preference, with their options.

    ``tensor`` is the graph's input, where it is known. ``compiled_cache`` is a folder in which TensorRT keeps
    what it compiled. The CPU comes last everywhere, for single operations that an accelerator lacks.
    """
    host: Provider = (CPU, {})
    if device.kind == "cpu":
        return (host,)
    cuda: Provider = (
        CUDA,
        {
            "device_id": str(device.index),
            # The default doubles what it holds of the card's memory each time it needs more.
            "arena_extend_strategy": "kSameAsRequested",
            # The default times all ways to convolve again for each new size of a batch.
            "cudnn_conv_algo_search": "HEURISTIC",
            # Ten bits of mantissa in place of 23: scores are to agree, and who wants speed takes float16.
            "use_tf32": "0",
        },
    )
    if device.kind == "cuda":
        return (cuda, host)
    # No option names a precision: without one, TensorRT computes in the types that the graph itself says.
    options = {"device_id": str(device.index)}
    if compiled_cache is not None:
        folder = os.fspath(compiled_cache)
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    if tensor is not None and tensor.shape[:1] == (None,) and None not in tensor.shape[1:]:
        # Said in advance, or a graph would be compiled again for each batch larger than those before.
        for name, batch in (("min", 1), ("opt", TYPICAL_BATCH), ("max", LARGEST_BATCH)):
            sides = "x".join(str(side) for side in (batch, *tensor.shape[1:]))
            options[f"trt_profile_{name}_shapes"] = f"{tensor.name}:{sides}"
    return ((TENSORRT, options), cuda, host)


def choose_part(device: Device, shape: Sequence[int | None], count: int) -> int | None:
    """How many of ``count`` images go into one run of a graph whose input has this shape.

    ``None`` stands for all of them as they are; parts that fall short are to be filled up.

    >>> choose_part(Device(kind="tensorrt"), (None, 3, None, None), 5)
    8
    """
    batch, *sides = shape
    if batch is not None or device.kind != "tensorrt":
        return batch
    if None in sides:
        # Such a graph is compiled for the sizes that it meets: let those be few.
        return min(1 << (count - 1).bit_length(), LARGEST_BATCH)
    return LARGEST_BATCH if count > LARGEST_BATCH else None


_PROVIDERS = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}
