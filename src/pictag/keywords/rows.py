r"""Keywords as JSON Lines: one object per photograph, UTF-8.

    {"source": "a.jpg", "keywords": [{"keyword": "dog", "score": 0.97, "kind": "concept",
     "path": ["animal", "mammal", "dog"], "id": "n02084071"}, …]}
    {"source": "torn.jpg", "error": {"kind": "CorruptImage", "message": "…"}}

``id`` is the WordNet 3.0 id, ``null`` for a term that WordNet doesn't have.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pictag.keywords.suggest import KeywordSuggestions, Suggestion
from pictag.records import Failure
from pictag.sinks.jsonl import encode_entry, scan_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def make_rows(keywords: tuple[Suggestion, ...]) -> list[dict[str, Any]]:
    """The keywords as JSON's own types.

    >>> make_rows((Suggestion(keyword="kitchen", score=0.5, kind="concept", path=("kitchen",)),))
    [{'keyword': 'kitchen', 'score': 0.5, 'kind': 'concept', 'path': ['kitchen'], 'id': None}]
    """
    return [
        {"keyword": k.keyword, "score": k.score, "kind": k.kind, "path": list(k.path), "id": k.id}
        for k in keywords
    ]


def describe_row(suggestions: KeywordSuggestions) -> dict[str, Any]:
    """The photograph as JSON's own types."""
    entry: dict[str, Any] = {"source": suggestions.source}
    if suggestions.error is not None:
        entry["error"] = {"kind": suggestions.error.kind, "message": suggestions.error.message}
    else:
        entry["keywords"] = make_rows(suggestions.keywords)
    return entry


def encode_row(suggestions: KeywordSuggestions) -> str:
    """The photograph as one line of JSON, without the line's end."""
    return encode_entry(describe_row(suggestions))


def decode_row(line: str | bytes) -> KeywordSuggestions:
    """The keywords that `encode_row` was given, without reasons; raises ``ValueError`` for anything else."""
    try:
        entry = json.loads(line)
        source = entry["source"]
        if not isinstance(source, str):
            raise TypeError(f"{source!r} is not a str")
        if "error" in entry:
            failure = Failure(kind=str(entry["error"]["kind"]), message=str(entry["error"]["message"]))
            return KeywordSuggestions(source=source, error=failure)
        keywords = tuple(Suggestion(**row | {"path": tuple(row["path"])}) for row in entry["keywords"])
        return KeywordSuggestions(source=source, keywords=keywords)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not keywords: {type(error).__name__} {error}") from error


def scan_rows(path: Path) -> Iterator[tuple[int, KeywordSuggestions]]:
    """The photographs of a file, each with the number of bytes up to the end of its line.

    A last line that was cut off by a crash is left out. Raises `UnreadableResults`.
    """
    return scan_lines(path, decode_row, what="a row of keywords")
