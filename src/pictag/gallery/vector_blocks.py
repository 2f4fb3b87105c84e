"""The embeddings of a library, in blocks of rows: single blobs would waste space in SQLite's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pictag.gallery.schema import BLOCK_ROWS
from pictag.similarity import normalize

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from numpy.typing import NDArray


def save_vectors(
    connection: sqlite3.Connection, embeddings: Iterable[tuple[int, NDArray[np.float32]]], *, model_id: int
) -> None:
    """Store the embeddings [D] of contents, in place of those that they had."""
    rows = list(dict(embeddings).items())
    for content_id, _ in rows:
        _release_vector(connection, content_id)
    while rows:
        block, ids, data = _open_block(connection, model_id)
        part, rows = rows[: BLOCK_ROWS - len(ids)], rows[BLOCK_ROWS - len(ids) :]
        vectors = normalize([vector for _, vector in part])
        added = np.array([content_id for content_id, _ in part], np.int64)
        connection.execute(
            "UPDATE vectors SET content_ids = ?, data = ? WHERE block = ?",
            (ids.tobytes() + added.tobytes(), data + vectors.astype(np.float16).tobytes(), block),
        )
        connection.executemany(
            "UPDATE contents SET vector_id = ? WHERE id = ?",
            ((block * BLOCK_ROWS + len(ids) + row, int(i)) for row, i in enumerate(added)),
        )


def _open_block(connection: sqlite3.Connection, model_id: int) -> tuple[int, NDArray[np.int64], bytes]:
    """The model's last block, or a new one if that is full."""
    row = connection.execute(
        "SELECT block, content_ids, data FROM vectors WHERE model_id = ? ORDER BY block DESC LIMIT 1",
        (model_id,),
    ).fetchone()
    if row is not None and len(row[1]) < 8 * BLOCK_ROWS:
        return row[0], np.frombuffer(row[1], np.int64), row[2]
    block = connection.execute(
        "INSERT INTO vectors (model_id, content_ids, data) VALUES (?, x'', x'')", (model_id,)
    ).lastrowid
    assert block is not None
    return block, np.empty(0, np.int64), b""


def _release_vector(connection: sqlite3.Connection, content_id: int) -> None:
    (vector_id,) = connection.execute("SELECT vector_id FROM contents WHERE id = ?", (content_id,)).fetchone()
    if vector_id is None:
        return
    block, row = divmod(vector_id, BLOCK_ROWS)
    (stored,) = connection.execute("SELECT content_ids FROM vectors WHERE block = ?", (block,)).fetchone()
    ids = np.frombuffer(stored, np.int64).copy()
    ids[row] = 0
    if len(ids) == BLOCK_ROWS and not ids.any():
        connection.execute("DELETE FROM vectors WHERE block = ?", (block,))
    else:
        connection.execute("UPDATE vectors SET content_ids = ? WHERE block = ?", (ids.tobytes(), block))
    connection.execute("UPDATE contents SET vector_id = NULL WHERE id = ?", (content_id,))
