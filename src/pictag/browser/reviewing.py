"""Decisions made on the page, and undoing them one after the other."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pictag.browser.duplicate_groups import Pair, forget_dismissed, read_dismissed
from pictag.browser.question import HIDDEN_WORD
from pictag.errors import OptionError
from pictag.gallery.duplicates import dismiss
from pictag.gallery.many_decisions import DecisionChange, decide_all, rename_word, undo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pictag.browser.duplicate_groups import DuplicateFinder
    from pictag.browser.opened_library import OpenedLibrary
    from pictag.gallery.decisions import Verdict

_MOST_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing a person did: a sentence about it, the photos it was about, and how to undo it."""

    summary: str
    file_ids: tuple[int, ...]
    change: DecisionChange = field(default_factory=DecisionChange)
    dismissed: frozenset[Pair] = frozenset()


class Reviewer:
    """Decisions about photos of a library; the last one can be undone, then the one before.

    The steps are the same in all tabs, and are forgotten when the program ends; decisions stay. The methods
    raise `OptionError` for a word that can't be used, and `LibraryLocked`.
    """

    def __init__(self, library: OpenedLibrary, duplicates: DuplicateFinder) -> None:
        self._library = library
        self._duplicates = duplicates
        self._steps: list[Step] = []

    def decide(self, file_ids: Sequence[int], word: str, verdict: Verdict | None) -> Step:
        """Confirm, reject or add a word of photos, or forget what was decided about it."""
        with self._library.writing() as connection:
            change = decide_all(connection, file_ids, word, verdict, path=self._library.path)
            step = Step(summary=_describe(word, verdict, change.images), file_ids=(*file_ids,), change=change)
            return self._note(step)

    def rename(self, old: str, new: str) -> Step:
        """Replace a word that people added or confirmed by another one, in all photos."""
        with self._library.writing() as connection:
            change = rename_word(connection, old, new, path=self._library.path)
            return self._note(
                Step(summary=f"Renamed {old} to {new}: {_count(change.images)}", file_ids=(), change=change)
            )

    def dismiss(self, file_ids: Sequence[int]) -> Step:
        """Remember that photos are no duplicates of each other."""
        with self._library.writing() as connection:
            paths = [
                row[0]
                for file_id in file_ids
                for row in connection.execute("SELECT path FROM files WHERE id = ?", (file_id,))
            ]
            before = read_dismissed(connection)
            dismiss(connection, [os.fsdecode(path) for path in paths])
            added = frozenset(read_dismissed(connection) - before)
            step = self._note(
                Step(summary="Not duplicates: the group is gone", file_ids=(*file_ids,), dismissed=added)
            )
        self._duplicates.drop(paths)
        return step

    def undo(self) -> Step | None:
        """Undo the last step, and return it; None if there is none."""
        with self._library.writing() as connection:
            if not self._steps:
                return None
            step = self._steps[-1]
            undo(connection, step.change, path=self._library.path)
            if step.dismissed:
                forget_dismissed(connection, step.dismissed)
            self._steps.pop()  # not if another program kept the library locked
            self._library.note_decisions()
        if step.dismissed:
            self._duplicates.restart()
        return step

    def _note(self, step: Step) -> Step:
        if step.change.decisions or step.dismissed:
            self._steps.append(step)
            del self._steps[:-_MOST_KEPT]
            self._library.note_decisions()
        return step


def _describe(word: str, verdict: Verdict | None, images: int) -> str:
    if not images:
        return "Nothing to change"
    if word == HIDDEN_WORD:
        return f"{'Hidden' if verdict else 'Shown again'}: {_count(images)}"
    if verdict is None:
        return f"Forgot the decision about {word}: {_count(images)}"
    return f"{verdict.capitalize()} {word}: {_count(images)}"


def _count(images: int) -> str:
    return f"{images:,} photo{'' if images == 1 else 's'}"


def check_verdict(verdict: object) -> Verdict | None:
    """A verdict in a request. Raises `OptionError`."""
    if verdict is None or verdict in ("confirmed", "rejected", "added"):
        return verdict
    raise OptionError("verdict must be confirmed, rejected, added or null.")
