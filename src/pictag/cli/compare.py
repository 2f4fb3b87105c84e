"""``pictag compare``: two evaluations of the same images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pictag.cli.ending import debug_option
from pictag.cli.options import REPORT_FORMAT
from pictag.errors import escape, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pictag.evaluation.comparison import ChangedImage, ModelComparison
    from pictag.evaluation.metrics_file import SavedMetrics

_MOST_IMAGES = 20
_MOST_CLASSES = 10
_MIN_CHANGE = 0.0005
_SURE = 0.05

EXAMPLES = """
Examples:

\b
  pictag evaluate photos/ --model old-model --output before
  pictag evaluate photos/ --model new-model --output after
  pictag compare before/metrics.json after/metrics.json

Exit status: 0 success, 2 the files can't be compared.
"""


@click.command(epilog=EXAMPLES, short_help="Compare two evaluations of the same images.")
@click.argument("before", type=click.Path(path_type=Path), metavar="BEFORE/metrics.json")
@click.argument("after", type=click.Path(path_type=Path), metavar="AFTER/metrics.json")
@REPORT_FORMAT
@debug_option
def compare(*, before: Path, after: Path, format_: str) -> None:
    """Compare two evaluations of the same images: their figures, which images became right or wrong, and
    whether the difference may be due to chance (McNemar's test).
    """
    from pictag.evaluation.comparison import compare as compare_metrics
    from pictag.evaluation.metrics_file import read_metrics, to_json

    saved = tuple(read_metrics(path / "metrics.json" if path.is_dir() else path) for path in (before, after))
    found = compare_metrics(saved[0], saved[1])
    if format_ == "json":
        models = {"before": saved[0].model, "after": saved[1].model}
        data = {"before": saved[0].data, "after": saved[1].data}
        click.echo(json.dumps(to_json({"models": models, "data": data, **asdict(found)}), indent=2))
        return
    show_comparison(found, saved[0], saved[1])


def show_comparison(found: ModelComparison, before: SavedMetrics, after: SavedMetrics) -> None:
    """Print the comparison as tables and sentences."""
    from pictag.cli.tables import draw, make_console, make_table
    from pictag.evaluation.html_report import NUMBERS, TITLES, show_share, show_value

    rows = []
    for name, (old, new) in found.figures.items():
        change = new.value - old.value
        shown = f"{change:+.3f}" if name in NUMBERS else f"{100 * change:+.1f} points"
        rows.append((TITLES.get(name, name), show_value(name, old.value), show_value(name, new.value), shown))
    head = ("figure", shorten(before.model, 30), shorten(after.model, 30), "change")
    click.echo(draw(make_console(), make_table(rows, head=head)))
    right, wrong = len(found.newly_right), len(found.newly_wrong)
    click.echo(
        f"{found.images:,} images in both: {found.both_right:,} right in both, {found.both_wrong:,} wrong in "
        f"both, {right:,} newly right, {wrong:,} newly wrong."
    )
    click.echo(describe_chance(found))
    for count, path in ((found.only_before, before.path), (found.only_after, after.path)):
        if count:
            click.echo(f"{count:,} images are only in {shorten(path)}; its figures above include them.")
    if found.other_truth:
        click.echo(
            f"{found.other_truth:,} images have other labels in {shorten(after.path)} and are not compared; "
            "the figures above include them."
        )
    if before.data != after.data:
        click.echo(
            f"The data differ: {shorten(before.data, 60)} and {shorten(after.data, 60)}. Images with the "
            "same name count as the same image."
        )
    changes = sorted(
        ((new.value - old.value, name, old, new) for name, (old, new) in found.recalls.items()),
        key=lambda change: -abs(change[0]) if change[0] == change[0] else 0.0,
    )
    changed = [row for row in changes if abs(row[0]) > _MIN_CHANGE][:_MOST_CLASSES]
    if changed:
        table = [
            (name, show_share(old.value), show_share(new.value), f"{100 * change:+.1f} points", f"{old.n:,}")
            for change, name, old, new in changed
        ]
        head_of_classes = ("recall, largest changes", "before", "after", "change", "images")
        click.echo()
        click.echo(draw(make_console(), make_table(table, head=head_of_classes)), nl=False)
    show_images("Newly wrong", found.newly_wrong)
    show_images("Newly right", found.newly_right)


def describe_chance(found: ModelComparison) -> str:
    """One sentence about McNemar's test."""
    if not found.newly_right and not found.newly_wrong:
        return "No image changed."
    p = "below 0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}"
    if found.p_value < _SURE:
        better = "second" if len(found.newly_right) > len(found.newly_wrong) else "first"
        return f"The {better} model is better. That is unlikely to be chance (McNemar's test, p = {p})."
    return f"The difference may be due to chance (McNemar's test, p = {p})."


def show_images(title: str, images: Sequence[ChangedImage]) -> None:
    """Print images that became right or wrong, at most 20."""
    if not images:
        return
    click.echo(f"\n{title}:")
    for image in images[:_MOST_IMAGES]:
        before, after = (", ".join(labels) or "none" for labels in (image.before, image.after))
        click.echo(escape(f"  {image.name}: {before} → {after}"))
    if len(images) > _MOST_IMAGES:
        click.echo(f"  and {len(images) - _MOST_IMAGES:,} more (--format json lists all)")
