"""Keywords as JSON Lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictag.errors import UnreadableResults
from pictag.keywords import KeywordSuggestions, Suggestion
from pictag.keywords.rows import decode_row, encode_row, scan_rows
from pictag.records import Failure

DOG = Suggestion(keyword="dog", score=0.97, kind="concept", path=("animal", "mammal", "dog"), id="n02084071")


def test_a_row_is_the_documented_one() -> None:
    assert encode_row(KeywordSuggestions(source="a.jpg", keywords=(DOG,))) == (
        '{"source": "a.jpg", "keywords": [{"keyword": "dog", "score": 0.97, "kind": "concept", '
        '"path": ["animal", "mammal", "dog"], "id": "n02084071"}]}'
    )


@pytest.mark.parametrize(
    "suggestions",
    [
        KeywordSuggestions(source="a.jpg", keywords=(DOG,)),
        KeywordSuggestions(source="caf\udce9\x1b.jpg"),
        KeywordSuggestions(source="torn.jpg", error=Failure(kind="CorruptImage", message="Torn.")),
    ],
    ids=["keywords", "odd name", "failure"],
)
def test_a_row_is_read_back(suggestions: KeywordSuggestions) -> None:
    line = encode_row(suggestions)
    assert line.isprintable()
    assert decode_row(line) == suggestions


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"source": 1, "keywords": []}', '{"source": "a", "labels": []}', "x"]
)
def test_anything_else_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"not keywords|Expecting"):
        decode_row(line)


def test_a_torn_last_line_is_left_out_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    line = encode_row(KeywordSuggestions(source="a.jpg", keywords=(DOG,)))
    path.write_text(f"{line}\n{line[:40]}", encoding="utf-8")
    assert [suggestions.source for _, suggestions in scan_rows(path)] == ["a.jpg"]
    path.write_text(f"{line}\nnonsense\n", encoding="utf-8")
    with pytest.raises(UnreadableResults, match="Line 2"):
        list(scan_rows(path))
