"""Bring a library up to date with folders: only what has changed is read, and only new images are classified.

A file whose size and time are unchanged isn't read. Of others the bytes are hashed: known bytes are a file
that was moved or copied. The rest goes through the classifier in one stream; an image whose decoded pixels
are known, such as one whose metadata was edited, leaves the stream before the model runs.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pictag.errors import InputError, PictagWarning
from pictag.gallery.facts import read_facts
from pictag.gallery.scan import ListedFile
from pictag.gallery.schema import explain_errors, write
from pictag.gallery.scoring import TermScorer, describe_model
from pictag.gallery.store import (
    Content,
    PhotoFacts,
    StoredFile,
    save_content,
    save_file,
    save_model,
    save_vectors,
)
from pictag.images import Failed, Source, read_ahead
from pictag.metadata import read_keywords
from pictag.records import Failure
from pictag.similarity.hashing import describe

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from pictag.gallery.folders import FolderScan
    from pictag.pipelines import ImageClassificationPipeline
    from pictag.records import Prediction
    from pictag.similarity.hashing import Fingerprint

COMMIT_IMAGES = 100
COMMIT_SECONDS = 1.0

Change = Literal["unchanged", "known", "new", "failed"]


class _AlreadyKnown(InputError):
    """The image's pixels are in the library: raised in the worker, so that the model doesn't run."""


class _Unchanged(InputError):
    """Nothing is to be done; keeps the file's place in the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What was found about one file.

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


@dataclass(slots=True, kw_only=True)
class IndexSummary:
    """How many files an index run found, by what was done, and how many are gone.

    ``kept`` has each folder that couldn't be read, with the number of its images that stay in the library.
    """

    unchanged: int = 0
    known: int = 0
    new: int = 0
    failed: int = 0
    missing: int = 0
    raw: int = 0
    kept: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What the library knows about a path."""

    size: int
    mtime_ns: int
    sidecars: str
    sha256: bytes | None
    pixels: bytes | None
    error: str | None
    is_missing: bool
    is_current: bool


class Indexer:
    """One run over some folders; a sink for its own results.

    Iterate over ``stream(folders.expand())``, give each result to ``write``, and call ``close`` at the end,
    also after an error. A run that is interrupted loses nothing that was written; the next one continues.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        classifier: ImageClassificationPipeline[Any],
        folders: FolderScan,
        *,
        path: Path | None = None,
        retry_failed: bool = False,
    ) -> None:
        model = describe_model(classifier)
        self.summary = IndexSummary()
        self._connection = connection
        self._classifier = classifier
        self._folders = folders
        self._path = path
        self._retry_failed = retry_failed
        with write(connection, path):
            former = connection.execute("SELECT identity FROM models WHERE is_current").fetchone()
            self.replaces_model = former is not None and former[0] != model.identity
            self._model_id = save_model(connection, model)
            self._scorer = TermScorer(connection, classifier)
            self._folder_ids = folders.save(connection)
        known = connection.execute("SELECT pixels FROM contents WHERE model_id = ?", (self._model_id,))
        self._known = {pixels for (pixels,) in known}
        self._buffer: list[Indexed] = []
        self._committed_at = time.monotonic()
        self._seen: set[bytes] = set()

    def stream(self, found: Iterable[ListedFile | Failed]) -> Iterator[Indexed]:
        """What is found about each file, in order; after the last one, the files that are gone are marked.

        Nothing else is stored before `write`.
        """
        steps: deque[Indexed] = deque()

        def list_sources() -> Iterator[Source | Failed]:
            for entry in found:
                if isinstance(entry, ListedFile):
                    if entry.path in self._seen:  # in two of the folders
                        continue
                    self._seen.add(entry.path)
                with explain_errors(self._path):
                    step, source = self._check(entry)
                steps.append(step)
                # Every step passes through the stream, so that the order is kept in bounded memory.
                yield source or Failed(name=step.source, error=_Unchanged())

        for prediction in self._classifier.stream(
            list_sources(), observe=self._observe, top_k=1, all_scores=True
        ):
            yield _combine(steps.popleft(), prediction)
        self._finish()

    def write(self, indexed: Indexed) -> None:
        """Store a result; it is on the disk at the latest after a second, or after 100 results."""
        match indexed.change:
            case "unchanged":
                self.summary.unchanged += 1
                return
            case "known":
                self.summary.known += 1
            case "new":
                self.summary.new += 1
            case "failed":
                self.summary.failed += 1
        if indexed.file is None:
            return
        if indexed.note is not None and indexed.error is None:  # that an image fails is enough to say
            warnings.warn(indexed.note, PictagWarning, stacklevel=2)
        self._buffer.append(indexed)
        if len(self._buffer) >= COMMIT_IMAGES or time.monotonic() - self._committed_at > COMMIT_SECONDS:
            self._commit()

    def close(self) -> None:
        """Store what is left."""
        if self._buffer:
            self._commit()

    def _check(self, entry: ListedFile | Failed) -> tuple[Indexed, Source | None]:
        """What is known without the model, and the source to classify if that isn't enough."""
        if isinstance(entry, Failed):
            return Indexed(source=entry.name, change="failed", error=_describe(entry.error)), None
        row = self._find(entry.path)
        is_same = row is not None and (row.size, row.mtime_ns) == (entry.size, entry.mtime_ns)
        if row is not None and is_same and not (row.error is not None and self._retry_failed):
            is_done = row.error is not None or row.is_current
            if is_done and not row.is_missing and row.sidecars == entry.sidecars:
                return Indexed(source=entry.name, change="unchanged"), None
            if row.is_current and row.sha256 is not None:
                return self._make(entry, "known", row.sha256, pixels=row.pixels), None
        try:
            source = read_ahead(Source(name=entry.name, kind="file", value=entry.name))
            data = source.value if source.kind == "bytes" else None
            sha256 = hashlib.sha256(data).digest() if data is not None else _hash_file(entry.name)
        except (InputError, OSError) as error:
            return self._make(entry, "failed", None, error=_describe(error)), None
        known = self._connection.execute(
            "SELECT pixels FROM files JOIN contents ON contents.id = content_id "
            "WHERE sha256 = ? AND model_id = ? LIMIT 1",
            (sha256, self._model_id),
        ).fetchone()
        if known is not None:
            return self._make(entry, "known", sha256, data=data, pixels=known[0]), None
        return self._make(entry, "new", sha256, data=data), source

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
        self,
        file: ListedFile,
        change: Change,
        sha256: bytes | None,
        *,
        data: bytes | None = None,
        pixels: bytes | None = None,
        error: Failure | None = None,
    ) -> Indexed:
        path, keywords, note = Path(file.name), tuple[str, ...](), None
        if error is None:
            try:
                keywords = read_keywords(path).people
            except InputError as problem:  # a broken sidecar doesn't hide its image
                note = f"{problem} Its keywords are left out."
        return Indexed(
            source=file.name,
            change=change,
            error=error,
            file=file,
            sha256=sha256,
            facts=PhotoFacts(type="unknown") if error else read_facts(path, data, keywords=keywords),
            pixels=pixels,
            note=note,
        )

    def _observe(self, image: Image) -> tuple[Fingerprint, tuple[int, int]]:
        fingerprint = describe(image)
        if fingerprint.pixels in self._known:
            raise _AlreadyKnown(fingerprint.pixels.hex())
        return fingerprint, image.size

    def _finish(self) -> None:
        self.close()
        with write(self._connection, self._path):
            self.summary.missing, self.summary.kept = self._folders.sweep(self._connection, self._seen)
        self.summary.raw = self._folders.notes.raw_count

    def _commit(self) -> None:
        results, self._buffer = self._buffer, []
        embeddings: list[tuple[int, NDArray[np.float32]]] = []
        with write(self._connection, self._path):
            for indexed in results:
                self._store(indexed, embeddings)
            save_vectors(self._connection, embeddings, model_id=self._model_id)
        self._known.update(indexed.pixels for indexed in results if indexed.pixels is not None)
        self._committed_at = time.monotonic()

    def _store(self, indexed: Indexed, embeddings: list[tuple[int, NDArray[np.float32]]]) -> None:
        file, content_id = indexed.file, None
        assert file is not None
        assert indexed.facts is not None
        if indexed.prediction is not None:
            content = self._make_content(indexed.prediction)
            content_id = save_content(self._connection, content, model_id=self._model_id)
            if indexed.prediction.embedding is not None:
                embeddings.append((content_id, indexed.prediction.embedding))
        elif indexed.pixels is not None:
            (content_id,) = self._connection.execute(
                "SELECT id FROM contents WHERE pixels = ?", (indexed.pixels,)
            ).fetchone()
        save_file(
            self._connection,
            StoredFile(
                folder_id=self._folder_ids[file.root],
                path=file.path,
                size=file.size,
                mtime_ns=file.mtime_ns,
                sidecars=file.sidecars,
                sha256=indexed.sha256,
                content_id=content_id,
                error=None if indexed.error is None else indexed.error.message,
                facts=indexed.facts,
            ),
        )

    def _make_content(self, prediction: Prediction) -> Content:
        fingerprint, (width, height) = prediction.observed
        assert prediction.scores is not None
        return Content(
            pixels=fingerprint.pixels,
            width=width,
            height=height,
            hash=fingerprint.hash,
            mirrored_hash=fingerprint.mirrored_hash,
            scores=self._scorer.choose(prediction.scores),
        )


def _combine(step: Indexed, prediction: Prediction) -> Indexed:
    """A step with the result of the classifier, if it was classified."""
    error = prediction.error
    if step.change != "new":
        return step
    if error is None:
        return replace(step, pixels=prediction.observed[0].pixels, prediction=prediction)
    if error.kind == _AlreadyKnown.__name__:
        return replace(step, change="known", pixels=bytes.fromhex(error.message))
    return replace(step, change="failed", error=error)


def _hash_file(name: str) -> bytes:
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _describe(error: Exception) -> Failure:
    return Failure(kind=type(error).__name__, message=str(error))
