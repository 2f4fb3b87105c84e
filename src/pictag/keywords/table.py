"""The table of ``pictag keywords``: each keyword with its score and the reason for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pictag.errors import shorten
from pictag.sinks.table import draw_head, fit

if TYPE_CHECKING:
    from pictag.keywords.suggest import KeywordSuggestions, Suggestion

_WORD_CELLS = (8, 28)


def draw_keywords(suggestions: KeywordSuggestions, width: int) -> list[Text]:
    """The rows of one photograph: its name, then one row per keyword.

    >>> from pictag.keywords import KeywordSuggestions, Suggestion
    >>> cat = Suggestion(keyword="cat", score=0.75, kind="concept", path=("animal", "cat"))
    >>> rows = draw_keywords(KeywordSuggestions(source="a.jpg", keywords=(cat,)), width=60)
    >>> [row.plain.rstrip() for row in rows]
    ['a.jpg', '  cat                 75.0%  concept']
    """
    rows = draw_head(suggestions.source, suggestions.error)
    if suggestions.error is None and not suggestions.keywords:
        rows.append(Text("  no keyword is certain enough", style="dim"))
    word_cells = min(max(width * 3 // 10, _WORD_CELLS[0]), _WORD_CELLS[1])
    for entry in suggestions.keywords:
        score = "" if entry.kind == "added" else f"{entry.score:.1%}"
        why = shorten(explain(entry), max(width - word_cells - 12, 8))
        rows.append(
            Text.assemble("  ", fit(shorten(entry.keyword), word_cells), f" {score:>6}  ", (why, "dim"))
        )
    return rows


def explain(entry: Suggestion) -> str:
    """Why a photograph has this keyword."""
    if entry.kind == "added":
        return "given with --add"
    if entry.kind == "label":
        return (
            "label of the model"
            if entry.reasons[0].label == entry.keyword
            else f"label {entry.reasons[0].label!r}"
        )
    shown = (
        f"{reason.label.split(', ')[0]} {reason.score:.0%}"
        for reason in entry.reasons
        if reason.score >= 0.005
    )
    return ": ".join(filter(None, ("concept", ", ".join(shown))))
