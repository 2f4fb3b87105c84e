"""The tables of a library, and opening it: migrations, and guards against files that can't be used.

A library is one SQLite file. Everything in it except decisions can be rebuilt from the photographs.

- ``contents`` has one row for each distinct image, whatever files it is in. ``pixels`` is the sha256 of its
  decoded pixels (`pictag.similarity.describe`), which renaming a file or editing its metadata doesn't change.
- ``files`` has one row for each path. Paths are bytes (`os.fsencode`): names needn't be UTF-8. ``path_text``
  is the path as text, to search and sort. ``taken`` is the camera's wall clock, ISO 8601 without a zone.
  A file with ``is_missing`` was deleted or moved; it is in no result, and its row only saves time if the
  file comes back. A file that failed has an ``error`` and no content.
- ``scores`` has the *effective* score of each term: the model's, or a person's decision about it: 1 for
  confirmed and added words, 0 for rejected ones. Results need only ``score > 0``.
- ``vectors`` has the embeddings in blocks: ``content_ids`` int64 [n], ``data`` float16 [n, D], each row of
  length 1. A row whose content id is 0 is unused. A content's row is in block ``vector_id // 256``, at place
  ``vector_id % 256``.
- ``decisions`` are keyed by pixels, not by a row, so that they survive a rebuild. ``meaning`` is the word
  as `pictag.metadata.keywords.meaning` gives it; it is also the key of ``terms``.
- ``words`` is the full text: a row for each file that isn't missing, with ``rowid`` = ``files.id``.
  ``people`` has the keywords and the confirmed and added words of people, ``labels`` the other terms with a
  score above 0 and their synonyms, ``names`` the names of the file and its folders.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from errno import EACCES, EIO, ENOSPC, EROFS
from typing import TYPE_CHECKING

from pictag.errors import InvalidLibrary, LibraryLocked, LibraryNotFound, OutputError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID = 0x70746167  # "ptag"
BLOCK_ROWS = 256
"""Rows of a block of vectors."""
LOCK_PATIENCE_S = 15.0
"""How long a writer waits for another one."""

_SYSTEM_ERRORS = {
    sqlite3.SQLITE_READONLY: EROFS,
    sqlite3.SQLITE_CANTOPEN: EACCES,
    sqlite3.SQLITE_IOERR: EIO,
}
_WRITABLE = " The file and its folder must be writable, also for a search."
_NEED_FOLDER = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)

_FIRST = """
CREATE TABLE folders (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    is_mount INTEGER NOT NULL DEFAULT 0,  -- a disk that was mounted below an indexed folder
    exclude TEXT NOT NULL DEFAULT '[]'    -- JSON: the patterns that were given for this folder
) STRICT;

CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,        -- a hash of all that decides over labels, scores and embeddings
    sha256 TEXT,                          -- of the weights
    name TEXT NOT NULL,
    options TEXT NOT NULL,                -- JSON: the options that open this model
    labels TEXT NOT NULL,                 -- JSON: the labels, by index
    is_current INTEGER NOT NULL DEFAULT 0 -- the model of the last run
) STRICT;

CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    pixels BLOB NOT NULL UNIQUE,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    hash INTEGER,                         -- difference hashes, 64 bits as a signed number;
    mirrored_hash INTEGER,                -- NULL for an image with almost no structure
    model_id INTEGER REFERENCES models(id),
    vector_id INTEGER
) STRICT;

CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    folder_id INTEGER NOT NULL REFERENCES folders(id),
    path BLOB NOT NULL UNIQUE,
    path_text TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sidecars TEXT NOT NULL DEFAULT '',    -- the sizes and times of the sidecars that were read
    sha256 BLOB,
    content_id INTEGER REFERENCES contents(id),
    error TEXT,
    taken TEXT,
    camera TEXT,
    has_gps INTEGER NOT NULL DEFAULT 0,
    type TEXT NOT NULL,
    is_missing INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX files_by_sha256 ON files(sha256);
CREATE INDEX files_by_content ON files(content_id);

CREATE TABLE terms (
    id INTEGER PRIMARY KEY,
    meaning TEXT NOT NULL UNIQUE,
    word TEXT NOT NULL,
    synonyms TEXT NOT NULL DEFAULT '[]',  -- JSON
    kind TEXT NOT NULL CHECK (kind IN ('label', 'concept', 'added'))
) STRICT;

CREATE TABLE scores (
    content_id INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE,
    term_id INTEGER NOT NULL REFERENCES terms(id),
    score REAL NOT NULL,
    model_score REAL,                     -- NULL for a word that only a person gave
    verdict TEXT CHECK (verdict IN ('confirmed', 'rejected', 'added')),
    PRIMARY KEY (content_id, term_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scores_by_term ON scores(term_id, score);

CREATE TABLE vectors (
    block INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES models(id),
    content_ids BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE keywords (
    file_id INTEGER NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (file_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE decisions (
    pixels BLOB NOT NULL,
    meaning TEXT NOT NULL,
    word TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('confirmed', 'rejected', 'added')),
    decided_at TEXT NOT NULL,             -- ISO 8601, UTC
    PRIMARY KEY (pixels, meaning)
) STRICT, WITHOUT ROWID;

CREATE TABLE dismissed (                  -- two images that a person said are no duplicates
    first BLOB NOT NULL,
    second BLOB NOT NULL,
    decided_at TEXT NOT NULL,
    PRIMARY KEY (first, second),
    CHECK (first < second)
) STRICT, WITHOUT ROWID;

CREATE TABLE thumbnails (
    content_id INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE,
    size INTEGER NOT NULL,                -- the longest side that was asked for
    jpeg BLOB NOT NULL,
    PRIMARY KEY (content_id, size)
) STRICT;

CREATE VIRTUAL TABLE words USING fts5(
    people, labels, names, tokenize = 'porter unicode61 remove_diacritics 2'
);
"""
MIGRATIONS = (_FIRST,)
"""``MIGRATIONS[n]`` leads from schema n to n + 1. Add to the end; never change one that was released."""


def open_library(
    path: Path, *, create: bool = False, patience_s: float = LOCK_PATIENCE_S
) -> sqlite3.Connection:
    """Open a library, and bring an older one up to date; ``create`` makes a file that doesn't exist.

    Raises `LibraryNotFound`, `InvalidLibrary` (not a library, damaged, or of a newer pictag),
    `LibraryLocked`, or `OutputError` where the file can't be written.
    """
    if not path.exists():
        if not create:
            raise LibraryNotFound(
                f"There is no library at {shorten(path)}. Create one with: pictag index FOLDER", filename=path
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"Cannot create {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
            ) from error
    with explain_errors(path):
        # Transactions are begun by `write`. Threads of a server may share a connection, one at a time.
        connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version, application = (
        _read_number(connection, "user_version"),
        _read_number(connection, "application_id"),
    )
    is_empty = not _read_number(connection, "schema_version")
    if application != APPLICATION_ID and not is_empty:
        raise InvalidLibrary(
            f"{shorten(path)} is a database of another program, not a library of pictag. "
            "Use another --library."
        )
    if version > len(MIGRATIONS):
        raise InvalidLibrary(
            f"{shorten(path)} was written by a newer pictag (schema {version}; this pictag knows "
            f"{len(MIGRATIONS)}). Upgrade it: pip install --upgrade pictag"
        )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    if version < len(MIGRATIONS):
        if is_empty:
            connection.execute("PRAGMA journal_mode = WAL")
        with write(connection, path):
            # Another process may have done this meanwhile.
            for step in range(_read_number(connection, "user_version"), len(MIGRATIONS)):
                for statement in _split(MIGRATIONS[step]):
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _read_number(connection: sqlite3.Connection, pragma: str) -> int:
    number: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return number


def read_stamp(connection: sqlite3.Connection) -> tuple[int, int]:
    """Changes when this connection, or another one, has written."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version, connection.total_changes


def _split(script: str) -> Iterator[str]:
    """The statements of a script; ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def write(connection: sqlite3.Connection, path: Path | None = None) -> Iterator[None]:
    """A transaction that is committed at the end of the block, and undone if the block raises.

    Other processes can read meanwhile. If one is writing, this waits.
    """
    with explain_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has already undone it if the disk is full
                connection.execute("ROLLBACK")
            raise


@contextmanager
def explain_errors(path: Path | None) -> Iterator[None]:
    """Turn SQLite's errors in the block into pictag's."""
    try:
        yield
    except sqlite3.Error as error:
        shown = "The library" if path is None else shorten(path)
        named = "the library" if path is None else shown  # within a sentence
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LibraryLocked(
                f"{shown} is being written by another program, such as pictag index. Try again when that has "
                "finished."
            ) from error
        if primary == sqlite3.SQLITE_FULL:
            raise OutputError(
                f"Cannot write {named}: no space left on the disk. What was stored before is safe.",
                errno=ENOSPC,
                filename=path,
            ) from error
        if primary == sqlite3.SQLITE_NOTADB:
            raise InvalidLibrary(f"{shown} is not a library of pictag. Use another --library.") from error
        if primary == sqlite3.SQLITE_CORRUPT or "decode to UTF-8" in str(error):
            raise InvalidLibrary(
                f"{shown} is damaged ({shorten(error)}). Move it away and index your folders again. "
                "Restore your decisions from a backup of the file, or with: pictag gallery import FILE"
            ) from error
        if primary in _SYSTEM_ERRORS:
            # SQLite's files -wal and -shm are beside the library, also for a reader.
            hint = (
                " The file and its folder must be writable, also for a search."
                if primary in _NEED_FOLDER
                else ""
            )
            raise OutputError(
                f"Cannot use {named}: {shorten(error)}.{hint}", errno=_SYSTEM_ERRORS[primary], filename=path
            ) from error
        raise
