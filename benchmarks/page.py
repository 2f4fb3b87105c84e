"""The tables of ``docs/performance.md``; ``python -m benchmarks.page`` makes them of the newest results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def format_race(race: Mapping[str, Any]) -> str:
    """One race as a table, the fastest first, and who was left out."""
    rows = sorted(race["results"], key=lambda row: -row["rate"])
    table = format_table(
        (
            race["title"],
            "pictures a second",
            "slowest and fastest lap",
            "memory, MB",
            "labels as transformers",
        ),
        [
            (
                row["name"],
                _format_rate(row["rate"]),
                f"{_format_rate(min(row['rates']))}–{_format_rate(max(row['rates']))}",
                "–" if row["family"] == "limit" or row["peak_mb"] is None else f"{row['peak_mb']:,}",
                "–" if row["same_labels"] is None else f"{row['same_labels']:.0%}",
            )
            for row in rows
        ],
    )
    left_out = [f"Left out: {name}: {reason}" for name, reason in race["left_out"].items()]
    return "\n".join([table, *left_out])


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right, even in plain sight."""
    body = [tuple(row) for row in rows]
    widths = [max(len(row[column]) for row in [tuple(head), *body]) for column in range(len(head))]
    rule = tuple(
        "-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)
    )

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(cells)} |"

    return "\n".join(line(row) for row in [tuple(head), rule, *body])


def _format_rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"
