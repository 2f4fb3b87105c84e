"""People's decisions about an image's labels: keyed by its pixels, and overriding any model.

A decision is about an image, so it holds for all files that show the same pixels, and again when the library
is rebuilt. `export_decisions` and `import_decisions` carry them as JSON Lines, one decision on a line:

    {"pixels": "9f2c…", "word": "dog", "verdict": "confirmed", "decided_at": "2026-11-…Z", "path": "…"}
    {"dismissed": ["1c5d…", "9f2c…"], "decided_at": "2026-11-…Z"}

``path`` is one file with these pixels, for information only; imports ignore it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from pictag.errors import OptionError, UnreadableResults, shorten, suggest
from pictag.gallery.full_text import path_text, save_words_of
from pictag.gallery.schema import write
from pictag.gallery.store import apply_decisions
from pictag.metadata.keywords import meaning
from pictag.vocabulary.labels import check_term

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

Verdict = Literal["confirmed", "rejected", "added"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided about a word of an image; ``path`` is one file with these pixels, if any."""

    pixels: bytes
    meaning: str
    word: str
    verdict: Verdict
    decided_at: str
    path: bytes | None


def decide(connection: sqlite3.Connection, file: str | os.PathLike[str], word: str, verdict: Verdict) -> str:
    """Confirm, reject or add a word of an image, in place of an earlier decision; returns the word.

    Only words that the image has can be confirmed or rejected: labels, synonyms and keywords. Raises
    `OptionError` for a file or a word that isn't known, and `LibraryLocked`.
    """
    with write(connection):
        content_id, pixels = find_content(connection, file)
        found = _find_word(connection, content_id, word)
        if verdict == "added":
            found = found or check_term(word)
        elif found is None:
            hint = suggest(word, _list_words(connection, content_id).values())
            raise OptionError(
                f"{shorten(file)} has no label {shorten(word, 80)!r}.{hint} Use add for a word of your own."
            )
        connection.execute(
            "INSERT OR REPLACE INTO decisions (pixels, meaning, word, verdict, decided_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (pixels, meaning(found), found, verdict, write_now()),
        )
        _refresh(connection, content_id)
    return found


def forget(connection: sqlite3.Connection, file: str | os.PathLike[str], word: str) -> str:
    """Undo the decision about a word: the image has the model's score again. Returns the word.

    Raises `OptionError` if there is none, and `LibraryLocked`.
    """
    with write(connection):
        content_id, pixels = find_content(connection, file)
        found = _find_word(connection, content_id, word) or word
        count = connection.execute(
            "DELETE FROM decisions WHERE pixels = ? AND meaning = ?", (pixels, meaning(found))
        ).rowcount
        if not count:
            raise OptionError(f"There is no decision about {shorten(word, 80)!r} of {shorten(file)}.")
        _refresh(connection, content_id)
    return found


def find_content(connection: sqlite3.Connection, file: str | os.PathLike[str]) -> tuple[int, bytes]:
    """The id and the pixels' hash of the image in an indexed file. Raises `OptionError`."""
    path = os.path.abspath(os.fsencode(os.fspath(file)))  # noqa: PTH100 - bytes
    row = connection.execute(
        "SELECT contents.id, pixels, error FROM files LEFT JOIN contents ON contents.id = content_id "
        "WHERE path = ? AND NOT is_missing",
        (path,),
    ).fetchone()
    if row is None:
        raise OptionError(f"{shorten(file)} is not in the library. Index its folder: pictag index FOLDER")
    if row[0] is None:
        raise OptionError(f"{shorten(file)} has no labels, because it failed: {shorten(row[2])}")
    return row[0], row[1]


def list_decisions(connection: sqlite3.Connection) -> Iterator[Decision]:
    """All decisions about words, in a fixed order."""
    for pixels, key, word, verdict, decided_at, path in connection.execute(
        "SELECT pixels, meaning, word, verdict, decided_at, (SELECT min(path) FROM files JOIN contents "
        "ON contents.id = content_id WHERE contents.pixels = decisions.pixels AND NOT is_missing) "
        "FROM decisions ORDER BY pixels, meaning"
    ):
        yield Decision(
            pixels=pixels, meaning=key, word=word, verdict=verdict, decided_at=decided_at, path=path
        )


def export_decisions(connection: sqlite3.Connection) -> Iterator[str]:
    """All decisions as lines of JSON, in a fixed order."""
    for decision in list_decisions(connection):
        row = {
            "pixels": decision.pixels.hex(),
            "word": decision.word,
            "verdict": decision.verdict,
            "decided_at": decision.decided_at,
        }
        yield _encode(row if decision.path is None else row | {"path": path_text(decision.path)})
    for first, second, decided_at in connection.execute("SELECT * FROM dismissed ORDER BY first, second"):
        yield _encode({"dismissed": [first.hex(), second.hex()], "decided_at": decided_at})


def import_decisions(connection: sqlite3.Connection, lines: Iterable[str], *, name: str) -> tuple[int, int]:
    """Add exported decisions; if two are about the same word of an image, the later one is kept.

    All of them are stored or, if a line is invalid, none. Returns how many were stored, and how many were
    older than the library's. Raises `UnreadableResults` naming the line, and `LibraryLocked`.
    """
    stored = total = 0
    with write(connection):
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                stored += _import_row(connection, json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UnreadableResults(
                    f"{shorten(name)}, line {number}: not a decision that pictag exported "
                    f"({type(error).__name__}: {shorten(error)}). Nothing was imported."
                ) from error
            total += 1
        known = connection.execute("SELECT DISTINCT contents.id FROM decisions JOIN contents USING (pixels)")
        for (content_id,) in known.fetchall():
            _refresh(connection, content_id)
    return stored, total - stored


def _import_row(connection: sqlite3.Connection, row: dict[str, Any]) -> int:
    decided_at = _check_time(row["decided_at"])
    if "dismissed" in row:
        first, second = sorted(map(_check_pixels, row["dismissed"]))
        return connection.execute(
            "INSERT INTO dismissed VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET decided_at = excluded.decided_at "
            "WHERE excluded.decided_at > decided_at",
            (first, second, decided_at),
        ).rowcount
    word, verdict = row["word"], row["verdict"]
    # Any word that could be confirmed, also a keyword that `add` would refuse.
    if not word.strip():
        raise ValueError(f"the word {word!r} is empty")
    if verdict not in VERDICTS:
        raise ValueError(f"verdict {verdict!r} is not one of {', '.join(VERDICTS)}")
    return connection.execute(
        "INSERT INTO decisions (pixels, meaning, word, verdict, decided_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET word = excluded.word, verdict = excluded.verdict, "
        "decided_at = excluded.decided_at WHERE excluded.decided_at > decided_at",
        (_check_pixels(row["pixels"]), meaning(word), word, verdict, decided_at),
    ).rowcount


def _refresh(connection: sqlite3.Connection, content_id: int) -> None:
    apply_decisions(connection, content_id)
    save_words_of(connection, content_id)


def _list_words(connection: sqlite3.Connection, content_id: int) -> dict[str, str]:
    """The words of an image by their meaning: its labels with their synonyms, and its files' keywords."""
    found: dict[str, str] = {}
    for word, synonyms in connection.execute(
        "SELECT word, synonyms FROM scores JOIN terms ON terms.id = term_id WHERE content_id = ? "
        "ORDER BY score DESC, term_id",
        (content_id,),
    ):
        for name in (word, *json.loads(synonyms)):
            found.setdefault(meaning(name), word)
    for (word,) in connection.execute(
        "SELECT word FROM keywords JOIN files ON files.id = file_id WHERE content_id = ?", (content_id,)
    ):
        found.setdefault(meaning(word), word)
    return found


def _find_word(connection: sqlite3.Connection, content_id: int, word: str) -> str | None:
    """The image's own word for this one: the label if it is a synonym. A word itself comes first."""
    words = _list_words(connection, content_id)
    own = {meaning(value): value for value in words.values()}
    key = meaning(word.strip())
    return own.get(key) or words.get(key)


def _check_pixels(text: str) -> bytes:
    pixels = bytes.fromhex(text)
    if len(pixels) != 32:
        raise ValueError(f"{shorten(text, 80)!r} is not a sha256")
    return pixels


def _check_time(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).strftime(_TIME)


_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def write_now() -> str:
    """The time of a decision that is made now, as a library has it."""
    return datetime.now(UTC).strftime(_TIME)


def _encode(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)
