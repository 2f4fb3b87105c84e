"""The cross-validation report of a taught model, as tables or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pictag.cli.tables import draw, make_console, make_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from pictag.evaluation import Estimate
    from pictag.teaching import CrossValidation, Taught

_MOST_CONFUSIONS = 5


def show_taught(taught: Taught, format_: str) -> None:
    """Print the report."""
    if format_ == "json":
        from pictag.evaluation.metrics_file import to_json

        content = asdict(taught) | {
            "output": str(taught.output),
            "failures": [{"name": name, "message": error.message} for name, error in taught.failures],
        }
        click.echo(json.dumps(to_json(content, digits=6), indent=2))
        return
    click.echo(draw(make_console(), *_list_parts(taught)), nl=False)


def _list_parts(taught: Taught) -> Iterator[RenderableType]:
    found = taught.cross_validation
    what = "mean area under the ROC curves" if taught.is_multi_label else "accuracy"
    chance = "chance is 0.5" if taught.is_multi_label else f"the largest class is {found.chance:.1%}"
    yield make_table(
        [
            ("model", str(taught.output)),
            ("base", taught.base),
            ("images", f"{sum(taught.images.values()):,} with {len(taught.images):,} labels"),
            (what, f"{_show(found.figure)}; {chance}"),
            ("measured", f"on held-out images: {found.folds}-fold cross-validation, {found.rounds} times"),
        ]
    )
    yield ""
    yield make_table(_list_labels(found), head=("label", "images", "precision", "recall", "ROC area"))
    if found.confusions:
        yield ""
        rows = (
            (confusion.label, confusion.predicted, f"{confusion.images:.1f}")
            for confusion in found.confusions[:_MOST_CONFUSIONS]
        )
        yield make_table(rows, head=("true label", "predicted", "images (mean)"))
    if found.worst:
        yield ""
        worst_images = (
            (worst.name, f"{worst.score:.1%} {worst.label}" + ("" if worst.has_label else " (wrong)"))
            for worst in found.worst
        )
        yield make_table(worst_images, head=("worst images", "score of the true label"))


def _list_labels(found: CrossValidation) -> Iterator[tuple[str, ...]]:
    for label in found.labels:
        yield (
            label.label,
            f"{label.images:,}",
            _show(label.precision),
            _show(label.recall),
            f"{label.auc:.3f}",
        )


def _show(estimate: Estimate) -> str:
    if estimate.n == 0:
        return "-"
    return f"{estimate.value:.1%} ({estimate.low:.0%}–{estimate.high:.0%})"
