"""``pictag classify``: one line per image, as soon as its labels are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pictag.cli.ending import Invocation, debug_option
from pictag.cli.options import QUIET, input_options, output_options, pipeline_options

if TYPE_CHECKING:
    from pictag.cli.destination import Destination
    from pictag.cli.inputs import Inputs
    from pictag.options import PipelineOptions

EXAMPLES = """
Examples:

\b
  pictag classify tiger.jpg
  pictag classify holiday/ --recursive --output labels.jsonl
  pictag classify holiday/ --recursive --output labels.jsonl --resume
  pictag classify 'scans/*.tif' --top-k 1 --format csv > labels.csv
  curl -s https://example.org/cat.jpg | pictag classify -
  find . -name '*.jpg' -print0 | pictag classify --from-file -
  pictag classify -- -odd-name.jpg

An image that can't be classified produces a line with the reason; the others are still classified.

Exit status: 0 success, 1 some images failed, 2 wrong usage or no model, 74 the output can't be written,
130 interrupted. After an interruption, the output contains every result so far, and --resume continues from
there.
"""


@click.command(epilog=EXAMPLES, short_help="Classify images.")
@input_options
@pipeline_options
@output_options
@QUIET
@debug_option
@click.pass_obj
def classify(
    invocation: Invocation,
    *,
    inputs: Inputs,
    options: PipelineOptions,
    destination: Destination,
    quiet: bool,
) -> int:
    """Classify images.

    IMAGE is an image file. FOLDER means all images in it. GLOB is a quoted pattern such as '*.jpg'. URL
    begins with http: or https:. A hyphen (-) reads one image from standard input.
    """
    if destination.format == "table" and (options.embeddings or options.embedding_output is not None):
        raise click.UsageError("A table doesn't show embeddings. Use --format jsonl, json, csv or parquet.")
    from pictag.cli.run import classify_images

    return classify_images(inputs, options, destination, default_model=invocation.settings.model, quiet=quiet)
