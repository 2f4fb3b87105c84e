"""docs/performance.md shows the newest results of the server."""

from __future__ import annotations

from benchmarks.page import PAGE, fill_page
from benchmarks.serve_page import TABLE, make_table, read_newest


def test_the_figures_in_the_docs_are_those_of_the_newest_results() -> None:
    text, table = PAGE.read_text(encoding="utf-8"), make_table(read_newest())
    assert table in text, "run: python -m benchmarks.serve_page"
    assert text == fill_page(text, {TABLE: table})


def test_a_missed_target_is_marked() -> None:
    figure = {"name": "a", "measured": 70.0, "target": 75, "unit": "%", "detail": "", "more": True}
    results = {
        "date": "2026-01-01",
        "machine": {"system": "S", "architecture": "A", "cores": 2},
        "versions": {"python": "3"},
        "parts": {"throughput": {"quick": True, "figures": [figure, {**figure, "measured": 80.0}]}},
    }
    table = make_table(results)
    assert "70 % (≥ 75: **missed**)" in table
    assert "80 % (≥ 75)" in table
    assert "mean little: throughput" in table
