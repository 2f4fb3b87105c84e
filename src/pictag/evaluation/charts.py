"""Charts as SVG without scripts; colours and type come from the page's style sheet.

Each has a title for screen readers. The page shows the same numbers as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from pictag.evaluation.calibration_error import ReliabilityBins
    from pictag.evaluation.estimates import Estimate
    from pictag.evaluation.ranking import ThresholdCurve

WIDTH, HEIGHT = 380, 280
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 40
_MOST_POINTS = 400
_TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1.0)


def draw_thresholds(curve: ThresholdCurve, n: int) -> Markup:
    """Accuracy of the kept images and share of kept images, at each threshold from 0 to 1."""
    keep = np.unique(np.linspace(0, len(curve.thresholds) - 1, _MOST_POINTS).round().astype(int))
    # Below the lowest score all images are kept.
    thresholds = np.append(curve.thresholds[keep][::-1], 1.0)
    thresholds[0] = 0.0
    precision, kept = curve.precision[keep][::-1], curve.kept[keep][::-1] / n
    lines = []
    for name, values in (("accuracy", precision), ("coverage", kept)):
        points = []
        for low, high, value in zip(thresholds, thresholds[1:], values, strict=False):
            points += [(low, value), (high, value)] if name == "accuracy" else [(low, value)]
        if name == "coverage":
            points.append((1.0, float(kept[-1]) if curve.thresholds[0] >= 1 else 0.0))
        lines.append(f'<polyline class="line {name}" points="{_join(points)}"/>')
    return _frame(
        "Accuracy of the kept images and share of kept images at each threshold",
        "".join(lines),
        x="threshold",
    )


def draw_reliability(bins: ReliabilityBins) -> Markup:
    """The share that is right in each bin of scores; a calibrated model follows the diagonal."""
    count = len(bins.counts)
    most = bins.counts.max() or 1
    parts = [f'<polyline class="diagonal" points="{_join([(0, 0), (1, 1)])}"/>']
    for place in range(count):
        if not bins.counts[place]:
            continue
        low, high = place / count, (place + 1) / count
        share, mean = float(bins.share_right[place]), float(bins.mean_score[place])
        tip = f"score {low:.0%} to {high:.0%}: {share:.1%} of {int(bins.counts[place]):,} right"
        strength = 0.35 + 0.65 * math.sqrt(float(bins.counts[place]) / float(most))
        parts.append(
            f'<g><title>{tip}</title><rect class="bin" style="fill-opacity:{strength:.2f}" '
            f'x="{_x(low) + 1:.1f}" y="{_y(share):.1f}" width="{_x(high) - _x(low) - 2:.1f}" '
            f'height="{max(_y(0) - _y(share), 1):.1f}"/>'
            f'<line class="gap" x1="{_x(mean):.1f}" x2="{_x(mean):.1f}" y1="{_y(share):.1f}" '
            f'y2="{_y(mean):.1f}"/></g>'
        )
    return _frame("Share of right labels for each range of scores", "".join(parts), x="score")


def draw_interval(estimate: Estimate) -> Markup:
    """A share as a bar from 0 to 1, with its interval."""
    if not math.isfinite(estimate.value):
        return Markup("")
    low, high, value = (100 * min(max(v, 0), 1) for v in (estimate.low, estimate.high, estimate.value))
    return Markup(
        '<svg class="interval" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" x="0" y="3" width="100" height="4"/>'
        f'<rect class="value" x="0" y="3" width="{value:.2f}" height="4"/>'
        f'<rect class="range" x="{low:.2f}" y="0" width="{max(high - low, 0.6):.2f}" height="10"/></svg>'
    )


def draw_confusions(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """A matrix of true classes (rows) and predicted ones (columns), darker for more of the row's images."""
    side = 25
    label_width = min(max((len(_cut(name)) for name in names), default=0) * 7 + 10, 170)
    width, height = label_width + side * len(names) + 4, side * len(names) + label_width
    parts = []
    for row, name in enumerate(names):
        y = label_width + row * side
        parts.append(
            f'<text class="name" x="{label_width - 6}" y="{y + side / 2 + 4}" text-anchor="end">'
            f"{escape(_cut(name))}</text>"
            f'<text class="name" transform="translate({label_width + row * side + side / 2 + 4} '
            f'{label_width - 6}) rotate(-90)">{escape(_cut(name))}</text>'
        )
        total = max(sum(counts[row]), 1)
        for column, other in enumerate(names):
            count = counts[row][column]
            kind = "right" if row == column else "wrong"
            x = label_width + column * side
            # Above this strength the number is drawn in the colour of the ground.
            strength = count / total
            ink = " strong" if strength > 0.45 else ""
            number = (
                f'<text class="count{ink}" x="{x + side / 2}" y="{y + side / 2 + 4}" text-anchor="middle">'
                f"{count if count < 1000 else '≥1k'}</text>"
            )
            parts.append(
                f"<g><title>{escape(name)} predicted as {escape(other)}: {count}</title>"
                f'<rect class="cell" x="{x}" y="{y}" width="{side - 1}" height="{side - 1}"/>'
                f'<rect class="cell {kind}" x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" '
                f'style="fill-opacity:{strength:.2f}"/>{number if count else ""}</g>'
            )
    return Markup(
        f'<svg class="matrix" viewBox="0 0 {width} {height}" style="width:{width}px" role="img" '
        f'aria-label="Confusion matrix">{"".join(parts)}</svg>'
    )


def _frame(title: str, content: str, *, x: str) -> Markup:
    parts = []
    for tick in _TICKS:
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(tick):.1f}" y2="{_y(tick):.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{_y(tick) + 4:.1f}" text-anchor="end">{tick:.0%}</text>'
            f'<text class="tick" x="{_x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{tick:.1f}</text>"
        )
    parts.append(
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">'
        f"{x}</text>"
    )
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}{content}</svg>"
    )


def _x(value: float) -> float:
    return LEFT + float(value) * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - float(value) * (HEIGHT - TOP - BOTTOM)


def _join(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)


def _cut(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"
