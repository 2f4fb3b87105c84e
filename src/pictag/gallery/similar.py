"""The library's images that are most similar to an image, by the cosine of their embeddings.

An image that is in the library, even as a copy or under another name, needs no model. For other images, the
library's model is run first.
"""

# Names stay exactly as the system has them.
# ruff: noqa: PTH100, PTH116, PTH123

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import OptionError, shorten
from pictag.gallery.schema import BLOCK_ROWS, read_stamp
from pictag.gallery.search import FoundFile, read_labels
from pictag.similarity import search_blocks

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pictag.pipelines import ImageClassificationPipeline

    Block = tuple[NDArray[np.int64], NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The image that others are compared with: its embedding [D], and the model of that.

    ``content_id`` is None for an image that isn't in the library.
    """

    vector: NDArray[np.float32]
    model_id: int
    content_id: int | None = None


def find_similar(
    connection: sqlite3.Connection,
    image: Any,
    *,
    k: int = 10,
    classifier: ImageClassificationPipeline[Any] | None = None,
    vectors: LoadedVectors | None = None,
) -> list[FoundFile]:
    """The ``k`` images that are most similar to ``image``, best first; the score is the cosine, at most 1.

    Args:
        connection: The library.
        image: A path, or anything that a classifier takes. An image of the library is not in its own result.
        k: The maximum number. Of files with the same pixels, only one is returned.
        classifier: The library's model, opened with ``embeddings=True``, for images that aren't in the
            library. Without it, the model is opened for such an image.
        vectors: The library's embeddings in memory, for many calls.

    Raises:
        OptionError: the library is empty, or the classifier is another model than the library's.
        InputError: the image can't be read.
    """
    if k < 1:
        raise OptionError(f"k={shorten(k)} is not allowed. Use a whole number of at least 1.")
    reference = find_reference(connection, image, classifier=classifier)
    rated = rate_similar(connection, reference, k=k, vectors=vectors)
    files = {content_id: _find_file(connection, content_id) for content_id in rated}
    found = {file[0]: (file[1], rated[content_id]) for content_id, file in files.items() if file is not None}
    labels = read_labels(connection, list(found))
    return [
        FoundFile(id=file_id, path=path, score=score, labels=labels[file_id])
        for file_id, (path, score) in found.items()
    ]


def find_reference(
    connection: sqlite3.Connection,
    image: Any,
    *,
    classifier: ImageClassificationPipeline[Any] | None = None,
) -> Reference:
    """The embedding of an image: the stored one if the library has the image, otherwise the model's.

    Raises as `find_similar` does.
    """
    content_id = _find_content(connection, image) if isinstance(image, str | os.PathLike) else None
    stored = None if content_id is None else _read_reference(connection, content_id)
    return stored or _classify(connection, image, classifier)


def rate_similar(
    connection: sqlite3.Connection, reference: Reference, *, k: int, vectors: LoadedVectors | None = None
) -> dict[int, float]:
    """The cosines of the ``k`` contents that are most similar to an image, by content id, best first.

    Contents without a file are left out, and so is the image itself.
    """
    wanted = k + 1
    while True:
        blocks = (
            read_blocks(connection, reference.model_id)
            if vectors is None
            else [vectors.load(reference.model_id)]
        )
        ids, cosines = search_blocks(reference.vector, blocks, k=wanted)
        alive = _find_alive(connection, ids.tolist()) - {reference.content_id}
        found = {i: cosine for i, cosine in zip(ids.tolist(), cosines.tolist(), strict=True) if i in alive}
        if len(found) >= k or len(ids) < wanted:
            return dict(list(found.items())[:k])
        wanted *= 4  # many of the images have no files any more


def read_blocks(connection: sqlite3.Connection, model_id: int) -> Iterator[Block]:
    """The content ids [n] and embeddings [n, D] of a model, block by block, in float16."""
    for ids, data in connection.execute(
        "SELECT content_ids, data FROM vectors WHERE model_id = ? ORDER BY block", (model_id,)
    ):
        yield _decode(ids, data)


class LoadedVectors:
    """The embeddings of a library in memory, read again after the library has changed.

    They are float32, and 100,000 images with 1,280 numbers each take 500 MB. A search then takes a twentieth
    of the time.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._stamp: tuple[int, ...] = ()
        self._block: Block = np.empty(0, np.int64), np.empty((0, 0), np.float32)

    def load(self, model_id: int) -> Block:
        """The content ids [N] and embeddings [N, D] of a model."""
        stamp = (*read_stamp(self._connection), model_id)
        if stamp != self._stamp:
            self._block = self._read(model_id)
            self._stamp = stamp
        return self._block

    def _read(self, model_id: int) -> Block:
        self._block = np.empty(0, np.int64), np.empty((0, 0), np.float32)  # memory for one copy only
        (count,) = self._connection.execute(
            "SELECT count(*) FROM vectors WHERE model_id = ?", (model_id,)
        ).fetchone()
        ids = np.empty(count * BLOCK_ROWS, np.int64)
        rows = np.empty((0, 0), np.float32)
        used = 0
        for block_ids, block in read_blocks(self._connection, model_id):
            if not rows.size:
                rows = np.empty((len(ids), block.shape[1]), np.float32)
            ids[used : used + len(block_ids)] = block_ids
            rows[used : used + len(block_ids)] = block
            used += len(block_ids)
        return ids[:used], rows[:used]


def _decode(ids: bytes, data: bytes) -> Block:
    content_ids = np.frombuffer(ids, np.int64)
    rows = np.frombuffer(data, np.float16).reshape(len(content_ids), -1)
    is_used = content_ids != 0
    return (content_ids, rows) if is_used.all() else (content_ids[is_used], rows[is_used])


def _find_content(connection: sqlite3.Connection, image: str | os.PathLike[str]) -> int | None:
    """The content of a file that is in the library as it is now, or whose bytes another file there has."""
    path = os.path.abspath(os.fsencode(os.fspath(image)))
    row = connection.execute(
        "SELECT content_id, size, mtime_ns FROM files WHERE path = ? AND NOT is_missing", (path,)
    ).fetchone()
    try:
        status = os.stat(path)
        if row is not None and (status.st_size, status.st_mtime_ns) == row[1:]:
            found: int | None = row[0]
            return found
        if not stat.S_ISREG(status.st_mode):  # a pipe can only be read once, and may wait forever
            return None
        with open(path, "rb") as stream:
            checksum = hashlib.file_digest(stream, "sha256").digest()
    except (OSError, ValueError):  # on a disk that isn't connected, or not a path but a URL
        return None if row is None else row[0]
    row = connection.execute(
        "SELECT content_id FROM files WHERE sha256 = ? AND content_id IS NOT NULL", (checksum,)
    ).fetchone()
    return None if row is None else row[0]


def _read_reference(connection: sqlite3.Connection, content_id: int) -> Reference | None:
    row = connection.execute(
        "SELECT vector_id % ?, vectors.model_id, content_ids, data FROM contents "
        "JOIN vectors ON block = vector_id / ? WHERE contents.id = ?",
        (BLOCK_ROWS, BLOCK_ROWS, content_id),
    ).fetchone()
    if row is None:
        return None
    place, model_id, ids, data = row
    rows = np.frombuffer(data, np.float16).reshape(len(ids) // 8, -1)
    return Reference(vector=rows[place].astype(np.float32), model_id=model_id, content_id=content_id)


def _classify(
    connection: sqlite3.Connection, image: Any, classifier: ImageClassificationPipeline[Any] | None
) -> Reference:
    from pictag.gallery.scoring import describe_model
    from pictag.pipelines import pipeline

    row = connection.execute("SELECT id, identity, name, options FROM models WHERE is_current").fetchone()
    if row is None:
        raise OptionError("The library has no images yet. Index a folder: pictag index FOLDER")
    model_id, identity, name, options = row
    if classifier is None:
        with pipeline(**json.loads(options), embeddings=True) as opened:
            return _classify(connection, image, opened)
    if describe_model(classifier).identity != identity:
        raise OptionError(
            f"{shorten(classifier.card.name)} is not the model that the library was made with "
            f"({shorten(name)}), or it has changed. Index the library again: pictag index"
        )
    vectors = classifier.embed(image)
    if len(vectors) != 1:
        raise OptionError(f"{shorten(image)} is {len(vectors)} images. Give one.")
    return Reference(vector=vectors[0], model_id=model_id)


def _find_alive(connection: sqlite3.Connection, ids: list[int]) -> set[int | None]:
    """Which of these contents have a file."""
    rows = connection.execute(
        "SELECT value FROM json_each(?) WHERE EXISTS "
        "(SELECT 1 FROM files WHERE content_id = value AND NOT is_missing)",
        (json.dumps(ids),),
    )
    return {content_id for (content_id,) in rows}


def _find_file(connection: sqlite3.Connection, content_id: int) -> tuple[int, bytes] | None:
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT id, path FROM files WHERE content_id = ? AND NOT is_missing ORDER BY path LIMIT 1",
        (content_id,),
    ).fetchone()
    return row
