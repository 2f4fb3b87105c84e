"""What an index run has to do for one file: nothing, store known results, or classify it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pictag.errors import InputError
from pictag.gallery.facts import read_facts
from pictag.gallery.scan import ListedFile
from pictag.images import Failed, Source, read_ahead
from pictag.metadata import read_keywords
from pictag.records import Failure

if TYPE_CHECKING:
    import sqlite3

    from pictag.gallery.store import PhotoFacts
    from pictag.records import Prediction

Change = Literal["unchanged", "known", "new", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """The result of the comparison for one file.

    ``change`` is "known" for an image that the library has already: a file that was moved, copied or
    touched, or whose metadata was edited.
    """

    source: str
    change: Change
    error: Failure | None = None
    file: ListedFile | None = None
    sha256: bytes | None = None
    facts: PhotoFacts | None = None
    pixels: bytes | None = None
    prediction: Prediction | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The library's data about a path."""

    size: int
    mtime_ns: int
    sidecars: str
    sha256: bytes | None
    pixels: bytes | None
    error: str | None
    is_missing: bool
    is_current: bool


class FileChecker:
    """Compares listed files with a library, by size and time, then by the hash of their bytes.

    With ``retry_failed``, files that failed are new even if they haven't changed.
    """

    def __init__(self, connection: sqlite3.Connection, *, model_id: int, retry_failed: bool) -> None:
        self._connection = connection
        self._model_id = model_id
        self._retry_failed = retry_failed

    def check(self, entry: ListedFile | Failed) -> tuple[Indexed, Source | None]:
        """The result without the model, and the source to classify if the model is needed."""
        if isinstance(entry, Failed):
            return Indexed(source=entry.name, change="failed", error=_describe(entry.error)), None
        row = self._find(entry.path)
        is_same = row is not None and (row.size, row.mtime_ns) == (entry.size, entry.mtime_ns)
        if row is not None and is_same and not (row.error is not None and self._retry_failed):
            is_done = row.error is not None or row.is_current
            if is_done and not row.is_missing and row.sidecars == entry.sidecars:
                return Indexed(source=entry.name, change="unchanged"), None
            if row.is_current and row.sha256 is not None:
                return _make(entry, "known", row.sha256, pixels=row.pixels), None
        try:
            source = read_ahead(Source(name=entry.name, kind="file", value=entry.name))
            data = source.value if source.kind == "bytes" else None
            sha256 = hashlib.sha256(data).digest() if data is not None else _hash_file(entry.name)
        except (InputError, OSError) as error:
            # It may be readable next time, so the stored results stay.
            return Indexed(source=entry.name, change="failed", error=_describe(error)), None
        known = self._connection.execute(
            "SELECT pixels FROM files JOIN contents ON contents.id = content_id "
            "WHERE sha256 = ? AND model_id = ? LIMIT 1",
            (sha256, self._model_id),
        ).fetchone()
        if known is not None:
            return _make(entry, "known", sha256, data=data, pixels=known[0]), None
        return _make(entry, "new", sha256, data=data), source

    def _find(self, path: bytes) -> _Row | None:
        row = self._connection.execute(
            "SELECT size, mtime_ns, sidecars, sha256, pixels, error, is_missing, model_id "
            "FROM files LEFT JOIN contents ON contents.id = content_id WHERE path = ?",
            (path,),
        ).fetchone()
        if row is None:
            return None
        return _Row(
            size=row[0], mtime_ns=row[1], sidecars=row[2], sha256=row[3], pixels=row[4], error=row[5],
            is_missing=bool(row[6]), is_current=row[7] == self._model_id,
        )  # fmt: skip


def _make(
    file: ListedFile,
    change: Change,
    sha256: bytes,
    *,
    data: bytes | None = None,
    pixels: bytes | None = None,
) -> Indexed:
    path, note = Path(file.name), None
    facts, may_have_keywords = read_facts(path, data)
    if may_have_keywords or file.sidecars:
        try:
            facts = replace(facts, keywords=read_keywords(path).people)
        except InputError as problem:  # the image is indexed despite a broken sidecar
            note = f"{problem} Its keywords are left out."
    return Indexed(
        source=file.name, change=change, file=file, sha256=sha256, facts=facts, pixels=pixels, note=note
    )


def _hash_file(name: str) -> bytes:
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _describe(error: Exception) -> Failure:
    return Failure(kind=type(error).__name__, message=str(error))
