"""Bring a library up to date with folders: only what has changed is read, and only new images are classified.

A file whose size and time are unchanged isn't read. Of others the bytes are hashed: known bytes are a file
that was moved or copied. The rest goes through the classifier in one stream; an image whose decoded pixels
are known, such as one whose metadata was edited, leaves the stream before the model runs.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pictag.errors import InputError, OptionError, PictagWarning, shorten
from pictag.gallery.changes import FileChecker, Indexed
from pictag.gallery.scan import ListedFile
from pictag.gallery.schema import explain_errors, write
from pictag.gallery.scoring import TermScorer, describe_model
from pictag.gallery.store import (
    Content,
    StoredFile,
    save_content,
    save_file,
    save_model,
)
from pictag.gallery.vector_blocks import save_vectors
from pictag.images import Failed
from pictag.similarity.hashing import describe

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from pictag.gallery.folders import FolderScan
    from pictag.images import Source
    from pictag.pipelines import ImageClassificationPipeline
    from pictag.records import Prediction
    from pictag.similarity.hashing import Fingerprint

COMMIT_IMAGES = 100
COMMIT_SECONDS = 1.0


class _AlreadyKnown(InputError):
    """The image's pixels are already in the library: raised in the worker, so that the model doesn't run."""


class _Unchanged(InputError):
    """Nothing to do; keeps the file's place in the stream."""


@dataclass(slots=True, kw_only=True)
class IndexSummary:
    """The numbers of files of an index run, by what was done, and of files that are no longer found.

    ``kept`` has each folder that couldn't be read, with the number of its images that stay in the library.
    ``folders`` counts all folders that couldn't be read; they are not among ``failed``.
    """

    unchanged: int = 0
    known: int = 0
    new: int = 0
    failed: int = 0
    missing: int = 0
    raw: int = 0
    folders: int = 0
    kept: dict[str, int] = field(default_factory=dict)


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
        with write(connection, path):
            former = connection.execute("SELECT identity FROM models WHERE is_current").fetchone()
            self.replaces_model = former is not None and former[0] != model.identity
            self._model_id = save_model(connection, model)
            self._scorer = TermScorer(connection, classifier)
            self._folder_ids = folders.save(connection)
        self._checker = FileChecker(connection, model_id=self._model_id, retry_failed=retry_failed)
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
                    step, source = self._checker.check(entry)
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
        if indexed.note is not None and indexed.error is None:  # a failed image has its own message
            warnings.warn(indexed.note, PictagWarning, stacklevel=2)
        self._buffer.append(indexed)
        if len(self._buffer) >= COMMIT_IMAGES or time.monotonic() - self._committed_at > COMMIT_SECONDS:
            self._commit()

    def close(self) -> None:
        """Store what is left."""
        if self._buffer:
            self._commit()

    def _observe(self, image: Image) -> tuple[Fingerprint, tuple[int, int]]:
        fingerprint = describe(image)
        if fingerprint.pixels in self._known:
            raise _AlreadyKnown(fingerprint.pixels.hex())
        return fingerprint, image.size

    def _finish(self) -> None:
        self.close()
        with write(self._connection, self._path):
            self.summary.missing, self.summary.kept = self._folders.sweep(self._connection, self._seen)
        notes = self._folders.notes
        self.summary.raw, self.summary.folders = notes.raw_count, notes.unreadable_folders
        self.summary.failed -= notes.unreadable_folders

    def _commit(self) -> None:
        results, self._buffer = self._buffer, []
        embeddings: list[tuple[int, NDArray[np.float32]]] = []
        with write(self._connection, self._path):
            self._check_folders()
            for indexed in results:
                self._store(indexed, embeddings)
            save_vectors(self._connection, embeddings, model_id=self._model_id)
        self._known.update(indexed.pixels for indexed in results if indexed.pixels is not None)
        self._committed_at = time.monotonic()

    def _check_folders(self) -> None:
        """Raise `OptionError` if another program removed a folder of this run from the library."""
        known = dict(self._connection.execute("SELECT path, id FROM folders").fetchall())
        for root, folder_id in self._folder_ids.items():
            if known.get(os.fsencode(root)) != folder_id:
                raise OptionError(
                    f"{shorten(root)} was removed from the library while it was being indexed. To have it "
                    "in the library again, run pictag index with this folder."
                )

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
