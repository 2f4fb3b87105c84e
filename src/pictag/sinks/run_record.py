"""What a result file was written with: its model and the options that affect labels, scores and embeddings.

JSON Lines and CSV have the record beside them, in ``FILE.meta.json``; Parquet has it in its metadata, under
the key ``pictag``. A file is only continued with the same model and options.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictag.errors import OutputError, PictagWarning, UnreadableResults, shorten
from pictag.replacement import replace_file

if TYPE_CHECKING:
    from pictag.sinks.resume import FileFormat

RunRecord = Mapping[str, Any]
"""JSON values by name; ``model`` is always one of them."""

PARQUET_KEY = b"pictag"
_VERSION = "pictag"  # the version that wrote the file: for people, never compared
# The model decides over these as well, so they are only named if the model is the same.
_IDENTITY = ("model", "revision", "weights")
_CONSEQUENCES = (
    "sha256", "labels", "preprocessing", "problem_type", "outputs", "output_name", "thresholds",
    "temperature",
)  # fmt: skip


def record_path(path: Path) -> Path:
    """The file beside a result file.

    >>> record_path(Path("photos/labels.jsonl")).name
    'labels.jsonl.meta.json'
    """
    return path.with_name(path.name + ".meta.json")


def encode_record(record: RunRecord) -> bytes:
    """The record as JSON."""
    return json.dumps(record, indent=2, ensure_ascii=False).encode("utf-8", "surrogateescape")


def check_record_path(path: Path) -> None:
    """Raise `OutputError` if the file for the record exists and is something else."""
    beside = record_path(path)
    if beside.exists() and _read(beside) is None:
        raise OutputError(
            f"{shorten(beside)} exists, but is not pictag's record of a result file. Delete it, or write the "
            "results to another file."
        )


def write_record(path: Path, record: RunRecord) -> None:
    """Write the record beside a result file; there is none beside pipes and devices. Raises `OutputError`."""
    if not path.is_file():
        return
    with replace_file(record_path(path)) as stream:
        stream.write(encode_record(record) + b"\n")


def read_record(path: Path, file_format: FileFormat) -> RunRecord | None:
    """The record of an existing result file, ``None`` if it has none; raises `UnreadableResults`."""
    if file_format == "parquet":
        from pictag.sinks.parquet import read_metadata

        text = read_metadata(path).get(PARQUET_KEY)
        return None if text is None else _decode(text)
    beside = record_path(path)
    if not beside.exists():
        return None
    record = _read(beside)
    if record is None:
        raise UnreadableResults(
            f"{shorten(beside)} is damaged: it should say which model and options {shorten(path.name)} was "
            "written with. Delete it to continue without that check."
        )
    return record


def check_record(path: Path, found: RunRecord | None, record: RunRecord) -> None:
    """Raise `OutputError` if a result file was written with another model or other options.

    Warns if that is unknown.
    """
    if found is None:
        warnings.warn(
            f"{shorten(path)} doesn't say which model and options it was written with. They may differ "
            "from those of the new rows.",
            PictagWarning,
            stacklevel=2,
        )
        return
    record = json.loads(encode_record(record))
    different = [
        name for name in record if name in found and found[name] != record[name] and name != _VERSION
    ]
    if any(name in _IDENTITY for name in different):
        different = [name for name in different if name not in _CONSEQUENCES]
    if different:
        before, now = (
            ", ".join(_describe(name, values[name]) for name in different) for values in (found, record)
        )
        raise OutputError(
            f"{shorten(path)} was written with {before}, but this run has {now}. Continue it with the same "
            "model and options, write to another file, or replace it with --overwrite."
        )


def _describe(name: str, value: object) -> str:
    return f"no {name}" if value is None else f"{name}={shorten(repr(value), 80)}"


def _read(path: Path) -> RunRecord | None:
    try:
        return _decode(path.read_bytes())
    except OSError as error:
        raise UnreadableResults(
            f"Cannot read {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error


def _decode(text: bytes) -> RunRecord | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "model" in record else None
