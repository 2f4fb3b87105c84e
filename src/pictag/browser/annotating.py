"""Writing the keywords that people confirmed and added as XMP, beside their photos."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pictag.browser.question import HIDDEN_WORD
from pictag.browser.shown_images import locate
from pictag.errors import PictagError
from pictag.metadata import Keyword, remove_keywords, write_keywords
from pictag.metadata.keywords import meaning
from pictag.vocabulary import read_classes, read_concepts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from pictag.browser.opened_library import OpenedLibrary

OWNER: Final = "gallery"
"""The owner of these keywords in sidecars: ``pictag keywords`` leaves them alone, and so does this."""


def write_sidecars(library: OpenedLibrary, file_ids: Iterable[int]) -> dict[str, Any]:
    """Write the confirmed and added words of photos into their sidecars, in place of those written before.

    A photo without such words gets no sidecar, and what the page wrote into it earlier is removed. Returns
    how many were ``written``, how many were ``unchanged``, and the ``problems`` as sentences.
    """
    written = unchanged = 0
    problems: list[str] = []
    for file_id in dict.fromkeys(file_ids):
        try:
            with library.reading() as connection:
                locate(connection, file_id)
                path, words = _read_words(connection, file_id)
            if words:
                is_changed = write_keywords(path, [_find_keyword(w) for w in words], owner=OWNER).is_changed
            else:
                is_changed = any(file.is_changed for file in remove_keywords(path, owner=OWNER))
        except PictagError as error:
            problems.append(str(error))
        else:
            written += is_changed
            unchanged += not is_changed
    return {"written": written, "unchanged": unchanged, "problems": problems}


def _read_words(connection: sqlite3.Connection, file_id: int) -> tuple[Path, list[str]]:
    (path,) = connection.execute("SELECT path FROM files WHERE id = ?", (file_id,)).fetchone()
    rows = connection.execute(
        "SELECT decisions.word FROM files JOIN contents ON contents.id = content_id "
        "JOIN decisions USING (pixels) WHERE files.id = ? AND verdict <> 'rejected' "
        "ORDER BY decided_at, decisions.word",
        (file_id,),
    )
    return Path(os.fsdecode(path)), [word for (word,) in rows if word != HIDDEN_WORD]


def _find_keyword(word: str) -> Keyword:
    """The word with the broader concepts above it, if the vocabulary has it."""
    return Keyword(_list_paths().get(meaning(word), (word,)))


@cache
def _list_paths() -> dict[str, tuple[str, ...]]:
    terms = (*read_classes(), *read_concepts().values())  # of equal words, the concept counts
    return {meaning(term.word): term.path for term in terms}
