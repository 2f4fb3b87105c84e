"""Draws a run's learning curve, and a model's reliability diagram and most frequent confusions.

`python training/plot.py LOG CARD --out docs/images` reads `log.csv` of a run and `card.json` of a model.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parent.parent
INK, QUIET, GRID = "#1f2933", "#6b7785", "#e3e8ee"
BLUE, GREEN, ORANGE = "#2563a8", "#2e8b6f", "#d9822b"
SHADES = ("#f4f7fb", "#e8eff8", "#dae6f4", "#ccdcf0")


def style(axes: Axes, title: str) -> None:
    """The style of all charts: light grid, no frame, title on the left."""
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=14)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=9, length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)
    axes.xaxis.label.set(color=QUIET, fontsize=10)
    axes.yaxis.label.set(color=QUIET, fontsize=10)


def save(figure: Any, path: Path) -> None:
    """Write a chart, without the time in its metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    plt.close(figure)


def stages(rows: list[dict[str, str]]) -> list[tuple[int, int, int]]:
    """(side, first epoch, last epoch) of each period with one image size."""
    found: list[tuple[int, int, int]] = []
    for row in rows:
        side, epoch = int(row["side"]), int(row["epoch"])
        if found and found[-1][0] == side:
            found[-1] = (side, found[-1][1], epoch)
        else:
            found.append((side, epoch, epoch))
    return found


def draw_curve(rows: list[dict[str, str]], path: Path) -> None:
    """Accuracy on the held-out images and training loss, over the epochs."""
    epochs = [int(row["epoch"]) for row in rows]
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(8, 6), sharex=True, gridspec_kw={"height_ratios": [3, 1.5], "hspace": 0.12}
    )
    for key, colour, name in (("top5", GREEN, "top-5"), ("top1", BLUE, "top-1")):
        values = [float(row[key]) for row in rows]
        upper.plot(epochs, values, color=colour, linewidth=2.2, marker="o", markersize=3.5)
        upper.annotate(
            f" {name} {values[-1]:.3f}", (epochs[-1], values[-1]), color=colour, fontsize=10, va="center"
        )
    lower.plot(epochs, [float(row["loss"]) for row in rows], color=ORANGE, linewidth=2, label="training loss")
    rate = lower.twinx()
    rate.plot(epochs, [float(row["rate"]) for row in rows], color=QUIET, linewidth=1.4, linestyle=":")
    rate.set_ylim(0, 1.1)
    style(rate, "")
    rate.grid(visible=False)
    rate.set_ylabel("learning rate (dotted)")
    for place, (side, first, last) in enumerate(stages(rows)):
        for axes in (upper, lower):
            axes.axvspan(first - 0.5, last + 0.5, color=SHADES[place % len(SHADES)], zorder=0)
        upper.text(
            (first + last) / 2, 0.985, f"{side} px", ha="center", va="top", fontsize=9, color=QUIET,
            transform=upper.get_xaxis_transform(),
        )  # fmt: skip
    upper.set_ylim(0, 1)
    upper.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    upper.set_ylabel("accuracy, held-out images")
    lower.set_ylabel("training loss")
    lower.set_xlabel("epoch")
    minutes = float(rows[-1]["minutes"])
    style(upper, f"{len(rows)} epochs in {minutes:.0f} minutes on two cores")
    style(lower, "")
    save(figure, path)


def draw_reliability(card: dict[str, Any], path: Path) -> None:
    """How often the best label is correct, for each range of its score."""
    bins, judged = [b for b in card["reliability"] if b["count"]], card["evaluation"]
    total = sum(b["count"] for b in bins)
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(6, 7), sharex=True, gridspec_kw={"height_ratios": [4, 1], "hspace": 0.1}
    )
    width = (bins[0]["high"] - bins[0]["low"]) * 0.9
    middles = [(b["low"] + b["high"]) / 2 for b in bins]
    upper.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1.1)
    upper.bar(middles, [b["accuracy"] for b in bins], width=width, color=BLUE, alpha=0.55)
    upper.plot(
        [b["confidence"] for b in bins], [b["accuracy"] for b in bins], "o", color=ORANGE, markersize=5
    )
    upper.text(0.3, 0.335, "as sure as right", rotation=41, color=QUIET, fontsize=9, ha="center", va="bottom")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1)
    upper.set_ylabel("share of right answers")
    style(upper, f"Scores against truth: calibration error {judged['ece']:.3f} (15 bins)")
    lower.bar(middles, [b["count"] / total for b in bins], width=width, color=QUIET, alpha=0.6)
    lower.set_ylabel("share of images")
    lower.set_xlabel("score of the first answer")
    style(lower, "")
    save(figure, path)


def draw_confusions(card: dict[str, Any], path: Path, count: int = 20) -> None:
    """The most frequent mistakes, as bars."""
    mistakes = card["confusions"][:count][::-1]
    per_class = card["evaluation"]["held_out_per_class"]
    names = [f"{m['class'].split(',')[0]}  →  {m['said'].split(',')[0]}" for m in mistakes]
    figure, axes = plt.subplots(figsize=(8, 0.3 * len(names) + 1))
    bars = axes.barh(names, [m["times"] for m in mistakes], color=BLUE, height=0.7)
    axes.bar_label(bars, padding=3, fontsize=9, color=INK)
    axes.set_xlabel(f"times, of {per_class} held-out images of the class on the left")
    style(axes, "What it takes for what, most often")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", colors=INK)
    save(figure, path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw the charts of a run and of its model.")
    parser.add_argument("log", type=Path, help="log.csv of a run")
    parser.add_argument("card", type=Path, help="card.json of a model")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="folder of the charts")
    options = parser.parse_args(arguments)
    with options.log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    card = json.loads(options.card.read_text(encoding="utf-8"))
    draw_curve(rows, options.out / "embedded-learning-curve.png")
    draw_reliability(card, options.out / "embedded-reliability.png")
    draw_confusions(card, options.out / "embedded-confusions.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
