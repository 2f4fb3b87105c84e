"""Rows of a library: models, folders, terms, contents with their scores, and files.

All functions that write are called within `pictag.gallery.schema.write`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.gallery.full_text import path_text, save_words
from pictag.metadata.keywords import meaning

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The stored data of one distinct image; ``scores`` are the model's, by term id."""

    pixels: bytes
    width: int
    height: int
    hash: int | None
    mirrored_hash: int | None
    scores: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """The metadata of a file; ``keywords`` are those of people."""

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
        "INSERT INTO terms (meaning, word, synonyms, kind) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (meaning) DO UPDATE SET word = iif(excluded.kind = 'added', word, excluded.word), "
        "synonyms = iif(excluded.kind = 'added', synonyms, excluded.synonyms), "
        "kind = iif(excluded.kind = 'added', kind, excluded.kind) RETURNING id",
        (
            meaning(term.word),
            term.word,
            json.dumps(list(term.synonyms), ensure_ascii=False),
            term.kind,
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


def to_unsigned(value: int | None) -> int | None:
    """A stored hash as the number that it was."""
    return None if value is None else value % 2**64


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
    """Replace a model's scores with people's decisions."""
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
    """Store a file, replacing earlier data about its path; returns its id."""
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


def mark_missing(connection: sqlite3.Connection, file_id: int) -> None:
    """Mark a file as deleted or moved: it is in no result any more."""
    connection.execute("UPDATE files SET is_missing = 1 WHERE id = ?", (file_id,))
    connection.execute("DELETE FROM words WHERE rowid = ?", (file_id,))
