"""Which engines and which of a model's weights are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.engines.choose import ENGINES, find_installed
from pictag.engines.providers import check_device, parse_device
from pictag.errors import MissingExtra, OptionError, shorten
from pictag.models.folder import embedded_folder, list_model_files
from pictag.models.reference import MAIN
from pictag.models.weights import AUTO, SUFFIXES, check_dtype, dtype_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pictag.models.reference import ModelRef


def choose_engines(asked: Sequence[str] | None, *, device: str) -> tuple[str, ...]:
    """The engines that were asked for, or else all that are installed and run on the device.

    Raises `OptionError` for one that does not exist or not run there, `MissingExtra` for one that is not
    installed.

    >>> choose_engines(["onnxruntime", "onnxruntime"], device="cpu")
    ('onnxruntime',)
    """
    installed = find_installed()
    if not asked:
        return installed if parse_device(device).kind == "cpu" else ("onnxruntime",)
    known = tuple(name for name in ENGINES if name != AUTO)
    for name in asked:
        if name not in known:
            raise OptionError(f"engine={shorten(repr(name))} is not known; there are: {', '.join(known)}.")
        if name not in installed:
            raise MissingExtra(f"engine={name!r} needs the package {name}: pip install 'pictag[{name}]'")
        check_device(device, name)
    return tuple(dict.fromkeys(asked))


def choose_dtypes(
    reference: ModelRef, asked: Sequence[str] | None, *, cache_dir: Path | None
) -> tuple[str, ...]:
    """The dtypes that were asked for, or else all that are at hand; ``auto`` where no name says one.

    A model of the Hub may have ten files of half a gigabyte each: those are taken that the cache has.

    >>> from pictag.models.reference import parse_reference
    >>> choose_dtypes(parse_reference("embedded"), None, cache_dir=None)
    ('fp32',)
    """
    if asked:
        for dtype in asked:
            check_dtype(dtype)
        return tuple(dict.fromkeys(asked))
    there = {dtype_of(name) for name in _list_weights(reference, cache_dir)}
    return tuple(dtype for dtype in SUFFIXES if dtype in there) or (AUTO,)


def _list_weights(reference: ModelRef, cache_dir: Path | None) -> Sequence[str]:
    if reference.kind == "hub":
        # Not at the top: huggingface_hub takes a tenth of a second to import.
        from pictag.models.cache import list_cached

        wanted = reference.revision or MAIN
        return [
            name
            for cached in list_cached(cache_dir)
            if cached.name == reference.name and wanted in (cached.commit, *cached.branches)
            for name in cached.weights
        ]
    if reference.kind == "file":
        return ()  # it is the weights
    folder = embedded_folder() if reference.path is None else reference.path
    return [name for name in list_model_files(folder) if name.lower().endswith(".onnx")]
