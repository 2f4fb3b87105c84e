"""Models as they are given, and the names that clients call them by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pictag.errors import OptionError, shorten
from pictag.models.reference import parse_reference
from pictag.server.served import ModelSpec

if TYPE_CHECKING:
    from pictag.server.settings import ServerSettings

_PATHS = ("./", "../", "/", "~/")  # what begins so has no name in front of a =


def read_model(text: str, settings: ServerSettings) -> ModelSpec:
    """A model as it is given, ``REFERENCE`` or ``NAME=REFERENCE``; raises `OptionError` or `ModelNotFound`.

    A folder or file is named after its last part, and a model of the Hub without its revision.
    """
    name, equals, reference = text.partition("=")
    if not equals or name.startswith(_PATHS) or _is_there(text):
        name, reference = _name_after(text), text
    parts = name.split("/")
    if not name.isprintable() or not reference or any(part in ("", ".", "..") for part in parts):
        raise OptionError(
            f"models: {shorten(repr(text), 80)} does not name a model; give REFERENCE or NAME=REFERENCE."
        )
    return ModelSpec(
        name=name,
        reference=reference,
        engine=settings.engine,
        dtype=settings.dtype,
        device=settings.device,
        decode=settings.decode,
        threads=settings.threads,
        max_pixels=settings.max_pixels,
        local_files_only=settings.offline,
    )


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # too long a name, or a folder that may not be entered
        return False


def _name_after(text: str) -> str:
    found = parse_reference(text)
    if found.path is None:
        return found.name
    path = found.path.resolve()
    name = path.stem if found.kind == "file" else path.name
    if not name:
        raise OptionError(f"models: {shorten(repr(text), 80)} has no name of its own; give NAME={text}.")
    return name
