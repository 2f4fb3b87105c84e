"""The full text of a library: for each file, the words that people wrote, the labels, and the names."""

from __future__ import annotations

import json
import os
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from pictag.metadata.keywords import meaning

if TYPE_CHECKING:
    import sqlite3


def path_text(path: bytes) -> str:
    """A path as readable text; bytes that aren't UTF-8 are replaced.

    >>> path_text(b"/photos/caf\\xe9.jpg")
    '/photos/caf\ufffd.jpg'
    """
    text = os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)


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
    # With the indexed folder's own name, without the folders above it.
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
