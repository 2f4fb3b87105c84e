"""The names under which models are served."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pictag.errors import OptionError, shorten
from pictag.models.reference import parse_reference
from pictag.options import PipelineOptions
from pictag.server.served_model import ModelSpec
from pictag.server.settings import PIPELINE_OPTIONS

if TYPE_CHECKING:
    from pictag.server.settings import ServerSettings

_PATH_PREFIXES = ("./", "../", "/", "~/")  # a path may contain "=" itself


def read_model(text: str, settings: ServerSettings) -> ModelSpec:
    """The model in ``REFERENCE`` or ``NAME=REFERENCE``; raises `OptionError` or `ModelNotFound`.

    By default a folder or file is named after the last part of its path, and a model of the Hub after its
    repository.
    """
    name, equals, reference = text.partition("=")
    if not equals or name.startswith(_PATH_PREFIXES) or os.path.exists(text):  # noqa: PTH110 - Path.exists raises an error for long names
        name, reference = _default_name(text), text
    parts = name.split("/")
    if not name.isprintable() or not reference or any(part in ("", ".", "..") for part in parts):
        raise OptionError(
            f"models: {shorten(repr(text), 80)} is not a model. Use REFERENCE or NAME=REFERENCE."
        )
    options = PipelineOptions(
        model=reference,
        mode="throughput",
        local_files_only=settings.offline,
        **{option: getattr(settings, option) for option in PIPELINE_OPTIONS},
    )
    return ModelSpec(name=name, options=options)


def _default_name(text: str) -> str:
    found = parse_reference(text)
    if found.path is None:
        return found.name
    path = found.path.resolve()
    name = path.stem if found.kind == "file" else path.name
    if not name:
        raise OptionError(f"models: {shorten(repr(text), 80)} has no name. Use NAME={text}.")
    return name
