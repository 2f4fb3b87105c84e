"""docs/performance.md and the README show the newest results."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.page import PAGE, README, SECTION, fill_page, make_tables
from benchmarks.results import read_newest
from benchmarks.tables import format_table


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_the_tables_on_a_page_are_those_of_the_newest_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == fill_page(text, make_tables(read_newest())), "run: python -m benchmarks.page"


def test_every_table_on_the_page_is_filled() -> None:
    found = [section["name"] for section in SECTION.finditer(PAGE.read_text(encoding="utf-8"))]
    assert found[:2] == ["machine", "jobs"]
    assert len(found) == len(set(found))


def test_the_columns_of_a_table_are_aligned() -> None:
    assert format_table(("job", "rate"), [("long name", "1"), ("x", "1,000")]).splitlines() == [
        "| job       |  rate |",
        "| --------- | ----: |",
        "| long name |     1 |",
        "| x         | 1,000 |",
    ]
