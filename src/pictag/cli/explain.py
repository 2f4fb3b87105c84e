"""``pictag explain``: heatmaps of the areas that changed a label's score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pictag.cli.application import application_pipeline, choose_model
from pictag.cli.destination import choose_destination, open_stdout, open_table
from pictag.cli.ending import SOME_FAILED, Invocation, debug_option
from pictag.cli.options import QUIET, input_options
from pictag.errors import OutputError, shorten

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from PIL import Image

    from pictag.cli.inputs import Inputs
    from pictag.cli.progress import Progress
    from pictag.explanation.sink import ExplainedImage, Explanation, ExplanationSink
    from pictag.images import Failed, Source
    from pictag.options import PipelineOptions
    from pictag.pipelines import ImageClassificationPipeline
    from pictag.pipelines.score_map import Method
    from pictag.records import Prediction
    from pictag.sinks.resume import DoneSources
    from pictag.sinks.rows import Rows

EXAMPLES = """
Examples:

\b
  pictag explain cat.jpg
  pictag explain cat.jpg --label 'tiger cat' --output heat.png
  pictag explain photos/ --recursive --output heatmaps/

A heatmap shows the areas that changed this model's score. It doesn't show where an object is.

Exit status: 0 success, 1 some images failed, 2 wrong usage or no model, 130 interrupted.
"""


@click.command(epilog=EXAMPLES, short_help="Show which areas of an image changed a label's score.")
@input_options
@click.option(
    "-l",
    "--label",
    metavar="LABEL",
    help="The label to explain: its text, one of the names in it, or its index. [default: each image's best]",
)
@click.option(
    "--method",
    type=click.Choice(("auto", "occlusion")),
    default="auto",
    show_default=True,
    help="auto uses an exact map if the model allows it (one run), else occlusion. occlusion classifies 64 "
    "copies of the image, each with a different square covered.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="FILE|FOLDER",
    help="A .png file for one image, or a folder, in which heatmaps are named NAME-explained.png. "
    "[default: the current folder]",
)
@click.option("--overwrite", is_flag=True, help="Replace heatmaps that exist.")
@click.option(
    "-f",
    "--format",
    "asked",
    type=click.Choice(("table", "jsonl")),
    help="Format of the rows on standard output. [default: table on a terminal, else jsonl]",
)
@application_pipeline
@QUIET
@debug_option
@click.pass_obj
def explain(
    invocation: Invocation,
    *,
    inputs: Inputs,
    label: str | None,
    method: Method,
    output: Path,
    overwrite: bool,
    asked: Any,
    options: PipelineOptions,
    quiet: bool,
) -> int:
    """Draw heatmaps: which areas of an image raised or lowered the score of a label.

    IMAGE is an image file. FOLDER means all images in it. GLOB is a quoted pattern such as '*.jpg'. URL
    begins with http: or https:. A hyphen (-) reads one image from standard input.
    """
    check_output(output, overwrite=overwrite)
    destination = choose_destination(
        asked=asked, output=None, resume=False, retry_failed=False, overwrite=False
    )
    options = choose_model(options, invocation, quiet=quiet)

    from pictag.cli.run import run_images
    from pictag.explanation import MAX_EDGE
    from pictag.explanation.sink import ExplanationSink, describe_explained, draw_explained, make_explanation
    from pictag.pipelines.results import gives_probabilities
    from pictag.pipelines.score_map import find_label
    from pictag.sinks.rows import JsonRows, TableRows

    sinks: list[ExplanationSink] = []

    def open_sink(classifier: ImageClassificationPipeline[Any]) -> tuple[ExplanationSink, DoneSources | None]:
        if label is not None:
            find_label(classifier.labels, label)  # before the first image
        percent = gives_probabilities(classifier.model, options.scoring)
        rows: Rows[ExplainedImage]
        if destination.format == "table":
            rows = TableRows(
                open_table(None, percent=percent), lambda row, _: draw_explained(row, percent=percent)
            )
        else:
            rows = JsonRows(open_stdout(), describe_explained)
        sinks.append(ExplanationSink(output, rows, overwrite=overwrite))
        return sinks[0], None

    def classify(
        classifier: ImageClassificationPipeline[Any],
        sources: Iterable[Source | Failed],
        /,
        *,
        progress: Progress,
        **_unused: object,
    ) -> Generator[Prediction]:
        percent = gives_probabilities(classifier.model, options.scoring)

        def show(done: int, total: int) -> None:
            progress.draw(f"Occlusion: {done} of {total} runs", done, total)

        def observe(image: Image.Image) -> Explanation:
            found = classifier.map_score(image, label, method=method, max_edge=MAX_EDGE, on_progress=show)
            return make_explanation(found, model=classifier.card.name, percent=percent)

        yield from classifier.stream(sources, observe=observe)

    status = run_images(inputs, options, destination, open_sink, quiet=quiet, classify=classify)
    return SOME_FAILED if any(sink.failed for sink in sinks) else status


def check_output(output: Path, *, overwrite: bool) -> None:
    """Raise an error for an output that can't be used, before a model is loaded."""
    if output.suffix.lower() == ".png":
        if output.exists() and not overwrite:
            raise OutputError(f"{shorten(output)} already exists. Use --overwrite to replace it.")
    elif not output.is_dir():
        what = "is not a folder" if output.exists() else "doesn't exist. Create it first"
        raise OutputError(f"{shorten(output)} {what}. Heatmaps are written into a folder or a .png file.")
