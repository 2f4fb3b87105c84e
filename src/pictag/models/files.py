"""The files of a model, as every source of models returns them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictag.errors import InvalidModel, ModelFileMissing, shorten
from pictag.models.graph_file import Graph
from pictag.models.weights import Choice
from pictag.substitutes import HEAD_BYTES, explain_substitute

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
CARD = "card.json"

_MAX_TEXT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """One file of a model: its path in the model, its size in bytes, and the sha256 it was checked against.

    ``sha256`` is ``None`` if none is known: for small files on the Hub, and for files of a folder.
    """

    path: str
    size: int | None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of a model in one folder, with the weights chosen and their graph read.

    ``folder`` may contain links into the Hub's cache. Weights are opened by their path in this folder and
    never by a link's target, because the files that the graph refers to are beside the link.
    """

    folder: Path
    choice: Choice
    graph: Graph
    files: tuple[FileFact, ...]
    revision: str | None = None
    licence: str | None = None
    notes: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Whether a file belongs to the model; the folder may have others."""
        return any(file.path == path for file in self.files)

    @property
    def weights(self) -> Path:
        """The chosen ``.onnx`` file."""
        return self.folder / self.choice.path


def read_text(path: Path) -> str:
    """The text of a file that describes a model. Raises `ModelFileMissing` or `InvalidModel`."""
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise InvalidModel(f"{shorten(path)} is larger than the limit of {_MAX_TEXT_BYTES >> 20} MB.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileMissing(f"{shorten(path)} doesn't exist.", filename=path) from error
    except OSError as error:
        raise InvalidModel(f"{shorten(path)} could not be read: {error.strerror}.") from error
    if substitute := explain_substitute(content[:HEAD_BYTES]):
        raise InvalidModel(f"{shorten(path)} is {substitute}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidModel(f"{shorten(path)} is not UTF-8 text (at byte {error.start}).") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON file that contains an object. Raises `ModelFileMissing` or `InvalidModel`."""
    text = read_text(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"{shorten(path)} is not JSON: {shorten(error, 80)}.") from error
    if not isinstance(data, dict):
        raise InvalidModel(f"{shorten(path)} contains {shorten(data, 60)} instead of a JSON object.")
    return data


def read_optional_json(path: Path) -> Mapping[str, Any] | None:
    """Like `read_json`, but ``None`` if there is no such file."""
    try:
        exists = path.is_file()
    except OSError as error:  # its folder may not be searched
        raise InvalidModel(f"{shorten(path)} could not be read: {error.strerror}.") from error
    return read_json(path) if exists else None


def read_licence(readme: Path) -> str | None:
    """The licence in the metadata block (between ``---``) of a model's README, or ``None``."""
    try:
        with readme.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(65536).splitlines()
    except OSError:
        return None
    if not lines or lines[0].strip() != "---":
        return None
    for line in itertools.takewhile(lambda line: line.strip() != "---", lines[1:]):
        key, _, value = line.partition(":")
        text = value.strip().strip("'\"[]")
        if key in ("license", "license_name") and text not in ("", "other"):
            return shorten(text)
    return None
