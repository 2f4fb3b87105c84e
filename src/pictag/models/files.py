"""A model's files, found: what every source of models hands to the loader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictag.errors import InvalidModel, ModelFileMissing, shorten
from pictag.models.weights import Choice

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"

_MAX_JSON_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """One file of a model: its path inside it, its size in bytes, and the digest it was checked against.

    ``digest`` is ``None`` where nobody stated one (a folder), or where it is not known yet.
    """

    path: str
    size: int | None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of a model in one folder of the Hub's layout, with the weights chosen.

    ``folder`` may hold links into the Hub's cache. Weights are opened by the path in this folder and never by
    what the link leads to: files that the graph refers to lie beside the link.
    """

    folder: Path
    choice: Choice
    files: tuple[FileFact, ...]
    revision: str | None = None
    licence: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The chosen ``.onnx`` file."""
        return self.folder / self.choice.path


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON file with an object in it. Raises `ModelFileMissing` and `InvalidModel`, naming the file."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise InvalidModel(
                f"{shorten(path)} has more than {_MAX_JSON_BYTES >> 20} MB, which no configuration has."
            )
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ModelFileMissing(f"There is no file {shorten(path)}.") from error
    except OSError as error:
        raise InvalidModel(f"{shorten(path)} could not be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"{shorten(path)} is not JSON: {shorten(error, 80)}.") from error
    if not isinstance(data, dict):
        raise InvalidModel(f"{shorten(path)} holds no JSON object, but {shorten(data, 60)}.")
    return data


def read_optional_json(path: Path) -> Mapping[str, Any] | None:
    """The same, or ``None`` where there is no such file."""
    return read_json(path) if path.is_file() else None


def read_licence(readme: Path) -> str | None:
    """The licence that a model card states in the block between ``---`` at its top, or ``None``."""
    try:
        with readme.open(encoding="utf-8", errors="replace") as file:
            head = file.read(65536)
    except OSError:
        return None
    lines = head.splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        if line.strip() == "---":
            return None
        key, colon, value = line.partition(":")
        if colon and key in ("license", "license_name") and value.strip():
            text = value.strip().strip("'\"[]")
            if text != "other":
                return shorten(text)
    return None
