"""``pictag evaluate``: how good a model is on labelled images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pictag.cli.application import application_pipeline, choose_model
from pictag.cli.ending import ALL_WELL, SOME_FAILED, Invocation, debug_option, is_terminal, say
from pictag.cli.options import QUIET, REPORT_FORMAT
from pictag.errors import escape, shorten

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pictag.evaluation import Evaluation, LabelledData, ScoredImages
    from pictag.models.load import Model
    from pictag.options import PipelineOptions
    from pictag.pipelines import ImageClassificationPipeline

_MOST_NAMED = 10

EXAMPLES = """
Examples:

\b
  pictag evaluate photos/ --model my-model --output report
  pictag evaluate dataset/ --split val --model org/name --output report
  pictag evaluate labels.csv --model my-model --map classes.csv
  pictag classify photos/ -r --model my-model --top-k all --output labels.jsonl
  pictag evaluate photos/ --predictions labels.jsonl --output report

DATA is a folder with one folder of images per class, or a CSV file of path,label. A CSV may have several
labels in a row, separated by semicolons.

Exit status: 0 success, 1 some images couldn't be read, 2 wrong usage or no model, 74 the report can't be
written, 130 interrupted (nothing is written then).
"""

SPLIT = click.option(
    "--split", metavar="NAME", help="Which split to use, if DATA has several, such as val or test."
)
MAP = click.option(
    "--map",
    "how",
    metavar="imagenet|FILE",
    help="How the classes of DATA map to the model's labels. FILE is a CSV of class,label. "
    "imagenet: the classes are ImageNet's, as WordNet ids, names, or numbers from 0 to 999. [default: the "
    "same name or the same WordNet id]",
)


@click.command(epilog=EXAMPLES, short_help="Measure how good a model is on labelled images.")
@click.argument("place", metavar="DATA")
@SPLIT
@MAP
@click.option(
    "--predictions",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Use the predictions in FILE, which 'pictag classify --top-k all -o FILE.jsonl' wrote, without "
    "classifying anything.",
)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write report.html, metrics.json, classes.csv and confusions.csv into FOLDER.",
)
@click.option("--overwrite", is_flag=True, help="Replace the report in the --output folder.")
@click.option(
    "--export-wrong",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Copy the images that the model gets wrong into FOLDER, one folder for each class.",
)
@REPORT_FORMAT
@application_pipeline
@QUIET
@debug_option
@click.pass_obj
def evaluate(
    invocation: Invocation,
    *,
    place: str,
    split: str | None,
    how: str | None,
    predictions: Path | None,
    output: Path | None,
    overwrite: bool,
    export_wrong: Path | None,
    format_: str,
    options: PipelineOptions,
    quiet: bool,
) -> int:
    """Measure how good a model is on labelled images: accuracy, each class, thresholds, calibration, and the
    worst mistakes, each figure with its 95 % interval.
    """
    from pictag.evaluation import measure, read_labelled, read_predictions, report_folder

    if predictions is not None and options.model is not None:
        raise click.UsageError(
            "--predictions can't be used with --model: FILE has the predictions of a model."
        )
    if overwrite and output is None:
        raise click.UsageError("--overwrite needs --output FOLDER.")
    data = read_labelled(place, split=split)
    report_folder.make_folders(output, export_wrong, overwrite=overwrite, data=data.class_folders)
    if predictions is not None:
        scored, status = read_predictions(predictions, data, how=how), ALL_WELL
    else:
        options = choose_model(options, invocation, quiet=quiet)
        scored, status, _ = score_images(data, options, how=how, quiet=quiet)
    found = measure(scored)
    if output is not None:
        report_folder.write_report(output, found)
    if export_wrong is not None:
        count = report_folder.export_wrong(export_wrong, found)
        if not quiet:
            say(f"Wrong images copied to {shorten(export_wrong)}: {count:,}.")
    if format_ == "json":
        click.echo(json.dumps(encode_summary(found), indent=2))
    else:
        show_summary(found)
    if output is not None and not quiet:
        say(f"Report: {shorten(output / report_folder.REPORT)}")
    return SOME_FAILED if found.failures else status


def score_images(
    data: LabelledData, options: PipelineOptions, *, how: str | None, quiet: bool
) -> tuple[ScoredImages, int, Model]:
    """Classify labelled images: their scores, the exit status, and the model."""
    from pictag.cli.destination import Destination
    from pictag.cli.inputs import Inputs
    from pictag.cli.run import run_images
    from pictag.evaluation import ScoreCollector, describe_model

    opened: list[tuple[ScoreCollector, Model]] = []

    def open_sink(classifier: ImageClassificationPipeline[Any]) -> tuple[ScoreCollector, None]:
        model = describe_model(classifier.model, classifier.options.scoring)
        opened.append((ScoreCollector(data, model, how=how), classifier.model))
        return opened[0][0], None

    inputs = Inputs(sources=tuple(image.source for image in data.images))
    status = run_images(inputs, options, Destination(format="table", path=None), open_sink, quiet=quiet)
    collector, model = opened[0]
    return collector.finish(), status, model


def encode_summary(found: Evaluation) -> dict[str, Any]:
    """The figures as JSON, without the lists of metrics.json."""
    from pictag.evaluation.metrics_file import describe_evaluation

    content = describe_evaluation(found)
    return {
        key: content[key] for key in ("kind", "model", "data", "counts", "notes", "figures", "thresholds")
    }


def show_summary(found: Evaluation) -> None:
    """Print the figures and thresholds as tables, and the notes on stderr."""
    from pictag.cli.tables import draw, make_console, make_table
    from pictag.evaluation.html_report import TITLES, show_range, show_share, show_threshold, show_value

    rows = [
        (TITLES[name], show_value(name, figure.value), show_range(name, figure), f"{figure.n:,}")
        for name, figure in found.figures.items()
    ]
    console = make_console()
    parts: list[RenderableType] = [make_table(rows, head=("figure", "value", "95 % interval", "n"))]
    if found.points:
        points = [
            (f"{point.wanted:.0%}", show_threshold(point.threshold), show_share(point.coverage.value))
            for point in found.points
        ]
        parts += ["", make_table(points, head=("wanted accuracy", "threshold", "images kept"))]
    click.echo(draw(console, *parts), nl=False)
    for note in found.notes:
        say(note)
    if found.failures:
        say(f"Images that could not be classified and aren't part of any figure: {len(found.failures):,}.")
        if is_terminal(sys.stdout):
            for _, failure in found.failures[:_MOST_NAMED]:
                say(escape(failure.message))
