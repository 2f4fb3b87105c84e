"""Rows of a library: contents with their scores and vectors, files, terms, and the full text.

All functions that write are called within `pictag.gallery.schema.write`.
"""

from __future__ import annotations

import json
import os
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pictag.gallery.schema import BLOCK_ROWS
from pictag.metadata.keywords import meaning

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

# The effective score of a decision; a rejected word keeps its row, so that `is:rejected` finds it.
_DECIDED_SCORES = {"confirmed": 1.0, "added": 1.0, "rejected": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model whose scores a library has; ``identity`` changes with anything that its scores depend on."""

    identity: str
    name: str
    options: Mapping[str, object]
    labels: Sequence[str]
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word that images are found by: a model's label, a broader concept, or a word that a person added."""

    word: str
    kind: str
    synonyms: tuple[str, ...] = ()
    wordnet_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is stored about one distinct image; ``scores`` are the model's, by term id."""

    pixels: bytes
    width: int
    height: int
    hash: int | None
    mirrored_hash: int | None
    scores: Mapping[int, float]
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """What a file says about its photograph; ``keywords`` are those of people."""

    type: str
    taken: str | None = None
    camera: str | None = None
    has_gps: bool = False
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file; it has either a ``content_id`` or an ``error``."""

    folder_id: int
    path: bytes
    size: int
    mtime_ns: int
    facts: PhotoFacts
    sidecars: str = ""
    sha256: bytes | None = None
    content_id: int | None = None
    error: str | None = None


def path_text(path: bytes) -> str:
    """A path as text for people; bytes that aren't UTF-8 are replaced.

    >>> path_text(b"/photos/caf\\xe9.jpg")
    '/photos/caf\ufffd.jpg'
    """
    text = os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)


def save_model(connection: sqlite3.Connection, model: ModelFacts) -> int:
    """The id of a model, which becomes the library's current one."""
    connection.execute("UPDATE models SET is_current = 0 WHERE identity <> ?", (model.identity,))
    row: tuple[int] = connection.execute(
        "INSERT INTO models (identity, sha256, name, options, labels, is_current) VALUES (?, ?, ?, ?, ?, 1) "
        "ON CONFLICT (identity) DO UPDATE SET name = excluded.name, options = excluded.options, "
        "is_current = 1 RETURNING id",
        (
            model.identity,
            model.sha256,
            model.name,
            json.dumps(dict(model.options), ensure_ascii=False),
            json.dumps(list(model.labels), ensure_ascii=False),
        ),
    ).fetchone()
    return row[0]


def save_folder(
    connection: sqlite3.Connection, path: bytes, *, is_mount: bool = False, exclude: Sequence[str] = ()
) -> int:
    """The id of an indexed folder, or of a disk that is mounted below one."""
    row: tuple[int] = connection.execute(
        "INSERT INTO folders (path, is_mount, exclude) VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
        "is_mount = min(is_mount, excluded.is_mount), "
        "exclude = iif(excluded.is_mount, exclude, excluded.exclude) RETURNING id",
        (path, is_mount, json.dumps(list(exclude), ensure_ascii=False)),
    ).fetchone()
    return row[0]


def save_term(connection: sqlite3.Connection, term: Term) -> int:
    """The id of a term; a word that a person added becomes a model's term when a model has it."""
    row: tuple[int] = connection.execute(
        "INSERT INTO terms (meaning, word, synonyms, kind, wordnet_id) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (meaning) DO UPDATE SET word = iif(excluded.kind = 'added', word, excluded.word), "
        "synonyms = iif(excluded.kind = 'added', synonyms, excluded.synonyms), "
        "kind = iif(excluded.kind = 'added', kind, excluded.kind), "
        "wordnet_id = coalesce(excluded.wordnet_id, wordnet_id) RETURNING id",
        (
            meaning(term.word),
            term.word,
            json.dumps(list(term.synonyms), ensure_ascii=False),
            term.kind,
            term.wordnet_id,
        ),
    ).fetchone()
    return row[0]


def save_content(connection: sqlite3.Connection, content: Content, *, model_id: int | None) -> int:
    """Store an image with a model's scores and embedding, in place of those that it had; returns its id."""
    row: tuple[int] = connection.execute(
        "INSERT INTO contents (pixels, width, height, hash, mirrored_hash, model_id) "
        "VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (pixels) DO UPDATE SET hash = excluded.hash, mirrored_hash = excluded.mirrored_hash, "
        "model_id = excluded.model_id RETURNING id",
        (
            content.pixels,
            content.width,
            content.height,
            _to_signed(content.hash),
            _to_signed(content.mirrored_hash),
            model_id,
        ),
    ).fetchone()
    content_id = row[0]
    connection.execute("DELETE FROM scores WHERE content_id = ?", (content_id,))
    connection.executemany(
        "INSERT INTO scores (content_id, term_id, score, model_score) VALUES (?, ?, ?, ?)",
        ((content_id, term_id, score, score) for term_id, score in content.scores.items()),
    )
    _overrule(connection, content_id)
    return content_id


def _to_signed(value: int | None) -> int | None:
    """The same 64 bits as a number that SQLite stores."""
    return value if value is None or value < 2**63 else value - 2**64


def apply_decisions(connection: sqlite3.Connection, content_id: int) -> None:
    """Set an image's effective scores from the model's and from people's decisions."""
    connection.execute(
        "UPDATE scores SET score = model_score, verdict = NULL "
        "WHERE content_id = ? AND verdict IS NOT NULL AND model_score IS NOT NULL",
        (content_id,),
    )
    connection.execute("DELETE FROM scores WHERE content_id = ? AND model_score IS NULL", (content_id,))
    _overrule(connection, content_id)


def _overrule(connection: sqlite3.Connection, content_id: int) -> None:
    """Replace a model's scores by people's decisions."""
    decisions = connection.execute(
        "SELECT word, verdict FROM decisions JOIN contents USING (pixels) WHERE contents.id = ?",
        (content_id,),
    ).fetchall()
    for word, verdict in decisions:
        connection.execute(
            "INSERT INTO scores (content_id, term_id, score, verdict) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (content_id, term_id) DO UPDATE SET score = excluded.score, "
            "verdict = excluded.verdict",
            (
                content_id,
                save_term(connection, Term(word=word, kind="added")),
                _DECIDED_SCORES[verdict],
                verdict,
            ),
        )


def save_file(connection: sqlite3.Connection, file: StoredFile) -> int:
    """Store a file, in place of what was known about its path; returns its id."""
    facts = file.facts
    row: tuple[int] = connection.execute(
        "INSERT INTO files (folder_id, path, path_text, size, mtime_ns, sidecars, sha256, content_id, error, "
        "taken, camera, has_gps, type) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (path) DO UPDATE SET folder_id = excluded.folder_id, size = excluded.size, "
        "mtime_ns = excluded.mtime_ns, sidecars = excluded.sidecars, sha256 = excluded.sha256, "
        "content_id = excluded.content_id, error = excluded.error, taken = excluded.taken, "
        "camera = excluded.camera, has_gps = excluded.has_gps, type = excluded.type, is_missing = 0 "
        "RETURNING id",
        (
            file.folder_id, file.path, path_text(file.path), file.size, file.mtime_ns, file.sidecars,
            file.sha256, file.content_id, file.error, facts.taken, facts.camera, facts.has_gps, facts.type,
        ),
    ).fetchone()  # fmt: skip
    file_id = row[0]
    connection.execute("DELETE FROM keywords WHERE file_id = ?", (file_id,))
    connection.executemany(
        "INSERT INTO keywords (file_id, position, word) VALUES (?, ?, ?)",
        ((file_id, position, word) for position, word in enumerate(facts.keywords)),
    )
    save_words(connection, file_id)
    return file_id


def save_words(connection: sqlite3.Connection, file_id: int) -> None:
    """Bring the full text of one file up to date."""
    connection.execute("DELETE FROM words WHERE rowid = ?", (file_id,))
    row = connection.execute(
        "SELECT files.path, folders.path, content_id FROM files JOIN folders ON folders.id = folder_id "
        "WHERE files.id = ? AND NOT is_missing",
        (file_id,),
    ).fetchone()
    if row is None:
        return
    path, root, content_id = row
    keywords = [
        word
        for (word,) in connection.execute(
            "SELECT word FROM keywords WHERE file_id = ? ORDER BY position", (file_id,)
        )
    ]
    people: list[str] = []
    labels: list[str] = []
    rejected: set[str] = set()
    for word, synonyms, score, verdict in connection.execute(
        "SELECT word, synonyms, score, verdict FROM scores JOIN terms ON terms.id = term_id "
        "WHERE content_id = ? ORDER BY score DESC, meaning",
        (content_id,),
    ):
        if verdict == "rejected":
            rejected.add(meaning(word))
        elif score > 0:
            (labels if verdict is None else people).extend((word, *_read_synonyms(synonyms)))
    keywords = [word for word in keywords if meaning(word) not in rejected]
    # The folder's own name counts, the folders above it don't.
    names = path.removeprefix(os.path.join(os.path.dirname(root), b""))  # noqa: PTH118, PTH120 - bytes
    connection.execute(
        "INSERT INTO words (rowid, people, labels, names) VALUES (?, ?, ?, ?)",
        (
            file_id,
            "\n".join(dict.fromkeys((*keywords, *people))),
            "\n".join(dict.fromkeys(labels)),
            path_text(names),
        ),
    )


@cache
def _read_synonyms(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def save_words_of(connection: sqlite3.Connection, content_id: int) -> None:
    """Bring the full text of all files with this content up to date."""
    rows = connection.execute("SELECT id FROM files WHERE content_id = ?", (content_id,)).fetchall()
    for (file_id,) in rows:
        save_words(connection, file_id)


def mark_missing(connection: sqlite3.Connection, file_id: int) -> None:
    """The file was deleted or moved: no result has it any more."""
    connection.execute("UPDATE files SET is_missing = 1 WHERE id = ?", (file_id,))
    connection.execute("DELETE FROM words WHERE rowid = ?", (file_id,))


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
        vectors = np.stack([vector for _, vector in part]).astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
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
