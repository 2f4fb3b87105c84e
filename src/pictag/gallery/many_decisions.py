"""Decisions about many images in one transaction, and undoing exactly what was done.

`pictag.gallery.decisions` has the decisions themselves; a page that is used for reviewing needs many at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pictag.errors import OptionError, shorten
from pictag.gallery.full_text import save_words_of
from pictag.gallery.schema import write
from pictag.gallery.store import apply_decisions
from pictag.metadata.keywords import meaning
from pictag.vocabulary.labels import check_term

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pictag.gallery.decisions import Verdict

Row = tuple[str, str, str]
"""A decision as it is stored: word, verdict, and when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDecision:
    """The decision about one word of one image, before and after; None where there is none."""

    pixels: bytes
    meaning: str
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionChange:
    """What was done at once. It may be empty."""

    decisions: tuple[ChangedDecision, ...] = ()

    @property
    def images(self) -> int:
        """The number of images that were changed."""
        return len({decision.pixels for decision in self.decisions})


def decide_all(
    connection: sqlite3.Connection,
    file_ids: Iterable[int],
    word: str,
    verdict: Verdict | None,
    *,
    path: Path | None = None,
) -> DecisionChange:
    """Confirm, reject or add a word of the images in files; with None, forget what was decided about it.

    A word that an image doesn't have is added instead of confirmed, and not rejected. Images that already
    have the decision aren't changed. Raises `OptionError` for a word that can't be a keyword, and
    `LibraryLocked`; nothing is changed then.
    """
    with write(connection, path):
        known = connection.execute("SELECT word FROM terms WHERE meaning = ?", (meaning(word),)).fetchone()
        found = word if verdict is None else known[0] if known is not None else check_term(word)
        wanted = []
        for content_id, pixels in _read_contents(connection, file_ids):
            own = verdict
            if verdict in ("confirmed", "rejected") and not _has_word(connection, content_id, found):
                own = None if verdict == "rejected" else "added"
                if own is None:
                    continue
            wanted.append((pixels, found, own))
        return _apply(connection, wanted)


def rename_word(
    connection: sqlite3.Connection, old: str, new: str, *, path: Path | None = None
) -> DecisionChange:
    """Give all images that have an added or confirmed word another one instead; it counts as added.

    Raises `OptionError` for a word that can't be a keyword or that no image has, and `LibraryLocked`.
    """
    found = check_term(new)
    with write(connection, path):
        rows = connection.execute(
            "SELECT pixels, word FROM decisions WHERE meaning = ? AND verdict <> 'rejected'", (meaning(old),)
        ).fetchall()
        if not rows:
            raise OptionError(f"No image has the keyword {shorten(old, 80)!r}.")
        wanted: list[tuple[bytes, str, Verdict | None]] = []
        for pixels, word in rows:
            if meaning(word) != meaning(found):
                wanted.append((pixels, word, None))
            wanted.append((pixels, found, "added"))
        return _apply(connection, wanted)


def undo(
    connection: sqlite3.Connection, change: DecisionChange, *, path: Path | None = None
) -> DecisionChange:
    """Put back what a change replaced, with its time; returns what was done.

    A decision that was changed again since then stays as it is.
    """
    with write(connection, path):
        done = []
        for decision in reversed(change.decisions):
            now = _read_decision(connection, decision.pixels, decision.meaning)
            if now == decision.after:
                _store(connection, decision.pixels, decision.meaning, decision.before)
                done.append(
                    ChangedDecision(
                        pixels=decision.pixels, meaning=decision.meaning, before=now, after=decision.before
                    )
                )
        _refresh(connection, done)
    return DecisionChange(decisions=tuple(done))


def _apply(
    connection: sqlite3.Connection, wanted: Iterable[tuple[bytes, str, Verdict | None]]
) -> DecisionChange:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    done = []
    for pixels, word, verdict in wanted:
        key = meaning(word)
        before = _read_decision(connection, pixels, key)
        if (before and before[:2]) == (verdict and (word, verdict)):
            continue
        after = None if verdict is None else (word, verdict, moment)
        _store(connection, pixels, key, after)
        done.append(ChangedDecision(pixels=pixels, meaning=key, before=before, after=after))
    _refresh(connection, done)
    return DecisionChange(decisions=tuple(done))


def _read_contents(connection: sqlite3.Connection, file_ids: Iterable[int]) -> list[tuple[int, bytes]]:
    return connection.execute(
        "SELECT DISTINCT contents.id, pixels FROM json_each(?) JOIN files ON files.id = value "
        "JOIN contents ON contents.id = content_id WHERE NOT is_missing",
        (json.dumps(list(file_ids)),),
    ).fetchall()


def _has_word(connection: sqlite3.Connection, content_id: int, word: str) -> bool:
    key = meaning(word)
    scored = connection.execute(
        "SELECT 1 FROM scores JOIN terms ON terms.id = term_id WHERE content_id = ? AND meaning = ?",
        (content_id, key),
    ).fetchone()
    keywords = connection.execute(
        "SELECT word FROM keywords JOIN files ON files.id = file_id WHERE content_id = ?", (content_id,)
    )
    return scored is not None or any(meaning(own) == key for (own,) in keywords)


def _read_decision(connection: sqlite3.Connection, pixels: bytes, key: str) -> Row | None:
    row: Row | None = connection.execute(
        "SELECT word, verdict, decided_at FROM decisions WHERE pixels = ? AND meaning = ?", (pixels, key)
    ).fetchone()
    return row


def _store(connection: sqlite3.Connection, pixels: bytes, key: str, row: Row | None) -> None:
    if row is None:
        connection.execute("DELETE FROM decisions WHERE pixels = ? AND meaning = ?", (pixels, key))
        return
    connection.execute(
        "INSERT OR REPLACE INTO decisions (pixels, meaning, word, verdict, decided_at) "
        "VALUES (?, ?, ?, ?, ?)",
        (pixels, key, *row),
    )
    connection.execute("UPDATE terms SET word = ? WHERE meaning = ? AND kind = 'added'", (row[0], key))


def _refresh(connection: sqlite3.Connection, decisions: Sequence[ChangedDecision]) -> None:
    for pixels in dict.fromkeys(decision.pixels for decision in decisions):
        row = connection.execute("SELECT id FROM contents WHERE pixels = ?", (pixels,)).fetchone()
        if row is not None:
            apply_decisions(connection, row[0])
            save_words_of(connection, row[0])
