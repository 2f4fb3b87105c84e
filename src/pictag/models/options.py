"""Options for loading a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pictag.options import DownloadProgress, Outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Options for loading a model.

    ``dtype`` is a key of `pictag.models.weights.SUFFIXES` or ``auto``; ``model_file`` names one ``.onnx``
    file of the model instead. ``output`` and ``output_name`` are what the caller says about the graph's
    output, and come before what the model's files say. ``cache_dir``, ``local_files_only`` and ``token`` mean
    the same as in ``huggingface_hub``. ``device`` (``cpu`` or ``cuda``) and ``engine`` (``onnxruntime`` or
    ``openvino``) only affect which files are preferred.
    """

    dtype: str = "auto"
    model_file: str | None = None
    output: Outputs | None = None
    output_name: str | None = None
    cache_dir: Path | None = None
    local_files_only: bool = False
    # A token is never shown: not in messages, and not if the options are printed.
    token: str | bool | None = field(default=None, repr=False)
    device: str = "cpu"
    engine: str = "onnxruntime"


OnProgress = Callable[[DownloadProgress], None]
