"""Which engines and which of a model's weights to measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.engines.providers import check_device, parse_device
from pictag.engines.registry import ENGINE_NAMES, list_installed
from pictag.errors import MissingExtra
from pictag.models.folder import list_model_files
from pictag.models.reference import MAIN
from pictag.models.weights import AUTO, SUFFIXES, check_dtype, dtype_of
from pictag.options import check_choice

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from pictag.models.reference import ModelRef


def choose_engines(
    asked: Sequence[str] | None, *, device: str, installed: Collection[str] | None = None
) -> tuple[str, ...]:
    """The requested engines, or all that are ``installed`` (by default those found) and support the device.

    Raises `OptionError` for an engine that does not exist or does not support the device, and `MissingExtra`
    for one that is not installed.

    >>> choose_engines(["onnxruntime", "onnxruntime"], device="cpu")
    ('onnxruntime',)
    """
    found = list_installed() if installed is None else tuple(installed)
    if not asked:
        return found if parse_device(device).kind == "cpu" else ("onnxruntime",)
    for name in asked:
        check_choice("engine", name, ENGINE_NAMES)
        if name not in found:
            raise MissingExtra(f"engine={name!r} needs the package {name}: pip install 'pictag[{name}]'")
        check_device(device, name)
    return tuple(dict.fromkeys(asked))


def choose_dtypes(
    reference: ModelRef, asked: Sequence[str] | None, *, cache_dir: Path | None
) -> tuple[str, ...]:
    """The requested dtypes, or all that are available locally; ``auto`` if no file name states a dtype.

    A model on the Hub may have ten weights files of half a gigabyte each, so only the cached ones are used.

    >>> from pictag.models.reference import parse_reference
    >>> choose_dtypes(parse_reference("embedded"), None, cache_dir=None)
    ('fp32',)
    """
    if asked:
        for dtype in asked:
            check_dtype(dtype)
        return tuple(dict.fromkeys(asked))
    available = {dtype_of(name) for name in _list_weights(reference, cache_dir)}
    return tuple(dtype for dtype in SUFFIXES if dtype in available) or (AUTO,)


def _list_weights(reference: ModelRef, cache_dir: Path | None) -> Sequence[str]:
    if reference.kind == "hub":
        # Imported here because huggingface_hub takes 0.1 s to import.
        from pictag.models.cache import list_cached

        wanted = reference.revision or MAIN
        return [
            name
            for cached in list_cached(cache_dir)
            if cached.name == reference.name and wanted in (cached.commit, *cached.branches)
            for name in cached.weights
        ]
    if reference.kind == "file":
        return ()  # the file itself is the weights
    if reference.kind == "built-in":
        return ("onnx/model.onnx",)
    folder = reference.path
    assert folder is not None
    return [name for name in list_model_files(folder) if name.lower().endswith(".onnx")]
