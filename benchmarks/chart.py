"""The chart of ``docs/performance.md``: images per second, one panel per race. Needs matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.pyplot as plt

from benchmarks.comparisons import find_fastest, find_limit
from benchmarks.tables import format_rate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

matplotlib.use("Agg")

# Bars from top to bottom: system, weights, colour.
BARS = (
    ("transformers", "float", "#9aa0a6"),
    ("transformers.js", "float", "#9aa0a6"),
    ("transformers.js", "int8", "#c3c7cb"),
    ("pictag", "float", "#1a73e8"),
    ("pictag", "int8", "#0b4f9e"),
)
LIMIT_COLOUR = "#d93025"


def draw_chart(races: Mapping[str, Any], path: Path) -> None:
    """One panel per race: the fastest setting of each system, and the limit as a line."""
    figure, panels = plt.subplots(1, len(races), figsize=(4.6 * len(races), 3.4), squeeze=False)
    for panel, race in zip(panels[0], races.values(), strict=True):
        _draw_panel(panel, race)
    for panel in panels[0][1:]:
        panel.set_yticklabels([])
    handles, labels = panels[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles[:1], labels[:1], loc="lower right", frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without matplotlib's version, the same results give the same file.
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def _draw_panel(panel: Any, race: Mapping[str, Any]) -> None:
    panel.set_title(race["title"] + (' (decode="fast")' if race["decode"] == "fast" else ""), fontsize=11)
    for place, (family, weights, colour) in enumerate(BARS):
        best = find_fastest(
            row for row in race["results"] if row["family"] == family and row["weights"] == weights
        )
        if best is None:
            panel.text(0, place, " not measured", va="center", fontsize=9, color="#5f6368")
            continue
        panel.barh(place, best["rate"], color=colour)
        limit = find_limit(race["results"], best) if family == "pictag" else None
        # Next to the bar, or inside it if the line of the limit is there.
        place_text = {"ha": "right", "color": "white"} if limit else {"ha": "left"}
        panel.text(
            best["rate"], place, f" {format_rate(best['rate'])} ", va="center", fontsize=9, **place_text
        )
        if limit is not None:
            panel.plot(
                [limit["rate"]] * 2, [place - 0.4, place + 0.4], color=LIMIT_COLOUR, lw=2, label="the limit"
            )
    panel.set_yticks(range(len(BARS)), [f"{family}, {weights}" for family, weights, _ in BARS])
    panel.set_ylim(len(BARS) - 0.4, -0.6)
    panel.set_xlim(0, 1.2 * max(row["rate"] for row in race["results"]))
    panel.set_xlabel("images per second")
    panel.spines[["top", "right"]].set_visible(False)
