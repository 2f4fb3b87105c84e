"""What a model's name means: a name on the Hub, a folder, a single file, or the embedded model."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pictag.errors import ModelNotFound, OptionError, shorten

DEFAULT_MODEL = "Xenova/vit-base-patch16-224"
EMBEDDED = "embedded"
MAIN = "main"

Kind = Literal["hub", "folder", "file", "embedded"]

_MAX_CHARACTERS = 4096
# One part of a Hub name. The Hub's own rules (96 characters in all, no "--", no "..", no ".git") come on top.
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_])?")
_COMMIT = re.compile(r"[0-9a-fA-F]{40}")
# What git forbids in the name of a branch or tag, and what would be a path of its own in the cache.
_BAD_REVISION = re.compile(r"\.\.|[\x00-\x20\x7f~^:?*\[\\]|^[/.\-]|[/.]$|//|/\.|@\{|\.lock$")
_EXPLICIT_PATH = re.compile(r"^(?:[/\\~]|\.{1,2}(?:[/\\]|$)|[A-Za-z]:[/\\])")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model's name, understood: where to look, but nothing fetched or read yet.

    ``name`` is ``org/name`` on the Hub, the path as given for a folder or file, or ``embedded``. ``revision``
    is a branch, tag or commit (Hub only), ``path`` the folder or file (not for the Hub).
    """

    kind: Kind
    name: str
    revision: str | None = None
    path: Path | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a whole commit hash, which never changes its meaning."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


def parse_reference(text: str | os.PathLike[str], *, revision: str | None = None) -> ModelRef:
    """Say what a name means: ``org/name``, ``org/name@revision``, a folder, an ``.onnx`` file, ``embedded``.

    A folder that exists goes before a name on the Hub. Nothing is fetched, and nothing is read beyond asking
    whether a folder or file is there. Raises `OptionError` for what can be no name at all and `ModelNotFound`
    for what leads nowhere.

    >>> parse_reference("Xenova/vit-base-patch16-224@main")
    ModelRef(kind='hub', name='Xenova/vit-base-patch16-224', revision='main', path=None)
    >>> parse_reference("embedded").kind
    'embedded'
    """
    if not isinstance(text, str):
        return _reference_path(_path_text(text), revision, was_path=True)
    _check_text(text)
    if text == EMBEDDED:
        _refuse_revision(text, revision)
        return ModelRef(kind="embedded", name=EMBEDDED)
    if _EXPLICIT_PATH.match(text) or text.lower().endswith(".onnx") or _exists(text):
        return _reference_path(text, revision, was_path=False)
    return parse_hub_name(text, revision=revision)


def parse_hub_name(text: str, *, revision: str | None = None) -> ModelRef:
    """Read ``org/name`` or ``org/name@revision`` and nothing else: no path is ever looked at.

    >>> parse_hub_name("org/name", revision="v1.0")
    ModelRef(kind='hub', name='org/name', revision='v1.0', path=None)
    """
    _check_text(text)
    name, at, suffix = text.partition("@")
    if at and revision is not None and suffix != revision:
        raise OptionError(
            f"The model {shorten(text)!r} names the revision {shorten(suffix, 60)!r}, but revision="
            f"{shorten(revision, 60)!r} was given too. Give one of them."
        )
    chosen = suffix if at else revision
    if chosen is not None:
        chosen = _check_revision(chosen)
    parts = name.split("/")
    if "://" in text:
        raise OptionError(
            f"{shorten(text)!r} is a URL; name a model as org/name, for example {DEFAULT_MODEL}."
        )
    if len(parts) == 1:
        raise ModelNotFound(
            f"There is no model {shorten(text)!r}: no folder of that name is here, and a name on the Hub "
            "has an "
            f"organisation in front of it, as in {DEFAULT_MODEL}."
        )
    if len(parts) != 2 or not _is_hub_name(name, parts):
        raise ModelNotFound(
            f"There is no model {shorten(text)!r}: no folder of that name is here, and it is no name on "
            "the Hub "
            f"(org/name of letters, digits, '-', '_' and '.'), as in {DEFAULT_MODEL}."
        )
    return ModelRef(kind="hub", name=name, revision=chosen)


def _is_hub_name(name: str, parts: list[str]) -> bool:
    if len(name) > 96 or "--" in name or ".." in name or name.endswith(".git"):
        return False
    return all(_PART.fullmatch(part) for part in parts)


def _check_text(text: str) -> None:
    if not text.strip():
        raise OptionError(
            f"The name of a model is empty. Give org/name, a folder, an .onnx file or {EMBEDDED!r}."
        )
    if len(text) > _MAX_CHARACTERS:
        raise OptionError(f"The name of a model has {len(text)} characters: {shorten(text, 60)!r}.")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise OptionError(f"The name of a model has a control character: {shorten(text)!r}.")


def _check_revision(revision: object) -> str:
    if not isinstance(revision, str) or not revision or len(revision) > 255 or _BAD_REVISION.search(revision):
        raise OptionError(
            f"revision={shorten(revision, 80)!r} is no branch, tag or commit. Say for example "
            "revision='main'."
        )
    return revision.lower() if _COMMIT.fullmatch(revision) else revision


def _refuse_revision(name: str, revision: str | None) -> None:
    if revision is not None:
        raise OptionError(
            f"revision={shorten(revision, 60)!r} was given, but {shorten(name)!r} is not on the Hub: "
            "only models on the Hub have revisions."
        )


def _path_text(value: object) -> str:
    if not isinstance(value, os.PathLike):
        raise OptionError(f"A model is named by text or a path, not by {type(value).__name__}.")
    text = os.fspath(value)
    if not isinstance(text, str):
        raise OptionError("A model's path is text, not bytes.")
    _check_text(text)
    return text


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # a name that is too long for the file system
        return False


def _reference_path(text: str, revision: str | None, *, was_path: bool) -> ModelRef:
    _refuse_revision(text, revision)
    path = Path(text)
    try:
        path = path.expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError):  # too long a name, or a home folder that nobody has
        is_folder = is_file = False
    if is_folder:
        return ModelRef(kind="folder", name=text, path=path)
    if is_file and path.suffix.lower() == ".onnx":
        return ModelRef(kind="file", name=text, path=path)
    if is_file:
        raise OptionError(
            f"{shorten(text)!r} is a file, but not an .onnx file; a model is a folder or an .onnx file."
        )
    hint = "" if was_path or text.lower().endswith(".onnx") else " A model on the Hub is named org/name."
    raise ModelNotFound(f"There is no folder or .onnx file {shorten(text)!r}.{hint}")
