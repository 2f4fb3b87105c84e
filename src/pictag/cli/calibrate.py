"""``pictag calibrate``: the temperature and thresholds of a model's card, from labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pictag.cli.application import collect_pipeline
from pictag.cli.ending import debug_option, say
from pictag.cli.evaluate import MAP, SPLIT, score_images
from pictag.cli.options import QUIET
from pictag.errors import list_some, shorten

if TYPE_CHECKING:
    from pictag.evaluation.fitting import FittedCard
    from pictag.options import PipelineOptions

_MOST_NAMED = 5

EXAMPLES = """
Examples:

\b
  pictag calibrate my-model photos/
  pictag calibrate my-model dataset/ --split val --min-precision 0.95
  pictag calibrate org/tagger labels.csv --min-recall 0.9 --dry-run

The temperature calibrates the scores: of the labels with a score of 80 %, about 80 % are right. It doesn't
change which label is best. The temperature and the thresholds are written into the model's card, and all
commands use them. The card is card.json in the model's folder; for a model on the Hub or a built-in model, it
is a file in pictag's data folder.

Exit status: 0 success, 1 some images couldn't be read, 2 wrong usage, no model or too little data, 74 the
card can't be written, 130 interrupted (nothing is written then).
"""


@click.command(epilog=EXAMPLES, short_help="Fit a model's temperature and thresholds to labelled images.")
@click.argument("model", metavar="MODEL")
@click.argument("place", metavar="DATA")
@SPLIT
@MAP
@click.option(
    "--min-precision",
    type=float,
    metavar="P",
    help="Give each label the lowest threshold that reaches this precision.",
)
@click.option(
    "--min-recall",
    type=float,
    metavar="R",
    help="Give each label the highest threshold that reaches this recall.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, but write nothing.")
@collect_pipeline()
@QUIET
@debug_option
def calibrate(
    *,
    model: str,
    place: str,
    split: str | None,
    how: str | None,
    min_precision: float | None,
    min_recall: float | None,
    dry_run: bool,
    options: PipelineOptions,
    quiet: bool,
) -> int:
    """Fit a model's temperature to labelled images, and with --min-precision or --min-recall a threshold for
    each label, and write them into the model's card.

    DATA is a folder with one folder of images per class, or a CSV file of path,label[;label...]. Use images
    like those that will be classified, but not the ones that the model was trained on.
    """
    from dataclasses import replace

    from pictag.evaluation import read_labelled
    from pictag.evaluation.fitting import fit_card, write_card

    data = read_labelled(place, split=split)
    scored, status, loaded = score_images(data, replace(options, model=model), how=how, quiet=quiet)
    fitted = fit_card(scored, min_precision=min_precision, min_recall=min_recall)
    show_fitted(fitted, takes_temperature=scored.model.takes_temperature)
    if dry_run:
        return status
    wanted = {
        name: value
        for name, value in (("min_precision", min_precision), ("min_recall", min_recall))
        if value is not None
    }
    path = write_card(loaded, fitted, data=data.place.resolve().name, wanted=wanted)
    if not quiet:
        say(f"Written to {shorten(path)}")
    return status


def show_fitted(fitted: FittedCard, *, takes_temperature: bool) -> None:
    """Print the new values, and their effect on held-out images."""
    from pictag.evaluation.fitting import FOLDS

    ece, loss = fitted.ece, fitted.log_loss
    if not takes_temperature:
        click.echo("Temperature: none, because the model's graph returns probabilities.")
    elif fitted.temperature == fitted.old_temperature:
        click.echo(f"Temperature: {fitted.temperature:.3f} stays, because no other is better.")
    else:
        click.echo(f"Temperature: {fitted.old_temperature:.3f} → {fitted.temperature:.3f}")
    click.echo(
        f"Calibration error: {ece[0]:.1%} → {ece[1]:.1%}, log loss {loss[0]:.3f} → {loss[1]:.3f} "
        f"({fitted.images:,} images, {FOLDS}-fold cross-validation)"
    )
    if fitted.held_out is None:
        return
    precision, recall = fitted.held_out
    click.echo(f"Thresholds: {len(fitted.thresholds):,} labels")
    for label, threshold in list(fitted.thresholds.items())[:_MOST_NAMED]:
        click.echo(f"  {threshold:.3f}  {shorten(label, 60)}")
    if len(fitted.thresholds) > _MOST_NAMED:
        click.echo(f"  and {len(fitted.thresholds) - _MOST_NAMED:,} more")
    if precision.n:
        click.echo(
            f"With these thresholds, on held-out images: precision {precision.value:.1%} "
            f"({precision.low:.1%} to {precision.high:.1%}), recall {recall.value:.1%} "
            f"({recall.low:.1%} to {recall.high:.1%})"
        )
    if fitted.not_reached:
        click.echo(
            "For these labels, no threshold reaches this. They get the threshold that reaches it for all "
            f"labels together: {list_some([shorten(label, 40) for label in fitted.not_reached])}"
        )
