"""What the search box suggests while a query is typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pictag.gallery.columns import MIN_SCORE
from pictag.gallery.query import KEYS, STATES
from pictag.gallery.word_forms import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.gallery.columns import Columns

_MOST: Final = 8
# The text before the cursor that is completed: a key with values, or a word that may contain spaces.
_KEYED = re.compile(r'(?:^|[\s(-])([a-z]+):(?:[^\s",]+,|"[^"]*",)*("?)([^",]*)$', re.IGNORECASE)
_WORD = re.compile(r'([^\s()"-][^\s()"]*)$')


def complete(columns: Columns, text: str, place: int) -> dict[str, Any]:
    """Suggestions for the word at a place in a query.

    ``items`` have what to show, what to insert from ``start`` to ``end``, and how many images have it.
    """
    before = text[:place]
    keyed = _KEYED.search(before)
    if keyed is not None and keyed[1].lower() in KEYS:
        if not keyed[2] and " " in keyed[3]:
            return {"start": place, "end": place, "items": []}
        start = keyed.start(2)
        items = list(_list_values(columns, keyed[1].lower(), fold(keyed[3])))
    else:
        word = _WORD.search(before)
        if word is None:
            return {"start": place, "end": place, "items": []}
        start = word.start(1)
        begun = fold(word[1])
        keys = [
            {"text": f"{key}:", "insert": "score>" if key == "score" else f"{key}:", "count": None}
            for key in KEYS
            if key.startswith(begun)
        ]
        items = [*list(_list_terms(columns, begun))[: _MOST - min(len(keys), 3)], *keys[:3]]
    return {"start": start, "end": place, "items": items[:_MOST]}


def _list_values(columns: Columns, key: str, begun: str) -> Iterator[dict[str, Any]]:
    if key == "label":
        yield from _list_terms(columns, begun)
    elif key == "keyword":
        yield from (item for item in _list_terms(columns, begun) if item["kind"] == "added")
    else:
        values: list[str] = []
        if key == "is":
            values = list(STATES)
        elif key == "type":
            values = sorted(columns.type_names)
        elif key in ("date", "after", "before"):
            values = sorted({str(day // 10_000) for day in columns.days.tolist() if day}, reverse=True)
        elif key == "in":
            values = sorted({name for path in columns.folder_names for name in path[-3:]})
        for value in values:
            if value.startswith(begun):
                yield {"text": value, "insert": f"{_quote(value)} ", "count": None}


def _list_terms(columns: Columns, begun: str) -> Iterator[dict[str, Any]]:
    """The terms with a word or a synonym that begins so, those that most images have first."""
    found = []
    for term in columns.terms:
        folded = fold(term.word)
        if folded.startswith(begun) or f" {begun}" in folded or _has_synonym(term.names, begun):
            places, _ = columns.scores(term.id, MIN_SCORE)
            if len(places):
                found.append((not folded.startswith(begun), -len(places), term))
    for _, count, term in sorted(found, key=lambda entry: entry[:2])[:_MOST]:
        yield {"text": term.word, "insert": f"{_quote(term.word)} ", "count": -count, "kind": term.kind}


def _has_synonym(names: tuple[tuple[frozenset[str], ...], ...], begun: str) -> bool:
    return any(name and any(form.startswith(begun) for form in name[0]) for name in names[1:])


def _quote(text: str) -> str:
    """The value, in quotes where it would be read as several words."""
    return text if re.fullmatch(r"[\w.'-]+", text) and not text.startswith("-") else f'"{text}"'
