"""``pictag teach``: a model that knows your labels."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pictag.cli.application import choose_model
from pictag.cli.ending import Invocation, debug_option, say
from pictag.cli.interruption import Interruption
from pictag.cli.options import (
    CACHE_DIR,
    DEVICE,
    DTYPE,
    EMBEDDINGS,
    MODEL_FILE,
    MODEL_OUTPUT,
    MODEL_OUTPUT_NAME,
    OFFLINE,
    PIXEL_LIMIT,
    QUIET,
    REPORT_FORMAT,
    REVISION,
    collect,
    read_pipeline,
)
from pictag.cli.progress import Progress

if TYPE_CHECKING:
    from pictag.evaluation import LabelledData
    from pictag.options import PipelineOptions
    from pictag.pipelines import ImageClassificationPipeline

EXAMPLES = """
Examples:

\b
  pictag teach photos/ --output my-model
  pictag teach photos/ --other anything/ --output my-model
  pictag teach labels.csv --base org/name --output my-model
  pictag teach more-photos/ --update my-model --output my-model --overwrite
  pictag teach --from-library gallery.db --output my-model
  pictag classify holiday/ --model my-model

DATA is a folder with one folder of images per class, or a CSV file of path,label. A CSV may have several
labels in a row, separated by semicolons; the model then scores each label independently. At least two classes
with five images each are needed; twenty or more are better.

The written folder works with every command, with ONNX Runtime and OpenVINO, and contains no images. Its file
examples.npz has their names and embeddings, for --update; the model works without it.

Exit status: 0 success, 1 some images couldn't be read (the others were used), 2 wrong usage, no such model,
or labels that can't be told apart, 74 the output can't be written, 130 interrupted. Nothing is written
unless the status is 0 or 1.
"""

BASE = click.option(
    "--base",
    "model",
    metavar="MODEL",
    help="The model whose embeddings are used: a name on the Hub, a folder, an .onnx file, or a "
    "built-in model. [default: PICTAG_MODEL, or efficientnet-lite0 if it is installed, or embedded]",
)
# Without the options that change preprocessing: they would have to be repeated whenever the model is used.
base_options = collect(
    (
        *(BASE, REVISION, DTYPE, MODEL_FILE, MODEL_OUTPUT, MODEL_OUTPUT_NAME, EMBEDDINGS[1]),
        *(CACHE_DIR, OFFLINE, DEVICE, PIXEL_LIMIT),
    ),
    "options",
    read_pipeline,
)


@click.command(epilog=EXAMPLES, short_help="Teach a model your own labels.")
@click.argument("data", metavar="[DATA]", required=False)
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The model folder to write.")
@click.option(
    "--other", metavar="FOLDER", help="Images of none of the classes. They become the label 'none of these'."
)
@click.option(
    "--update",
    metavar="FOLDER",
    help="A model that this command wrote. The new one is trained on its images and those of DATA. Use it "
    "instead of --base.",
)
@click.option(
    "--from-library",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Learn from the labels that were confirmed, added and rejected in a library of 'pictag index', "
    "instead of from DATA. Words that an image wasn't given count as wrong for it.",
)
@click.option("--split", metavar="NAME", help="Which split of DATA to use, if it has several, such as train.")
@click.option("--overwrite", is_flag=True, help="Replace the folder if this command has written it.")
@REPORT_FORMAT
@base_options
@QUIET
@debug_option
@click.pass_obj
def teach(
    invocation: Invocation,
    *,
    data: str | None,
    output: str,
    other: str | None,
    update: str | None,
    from_library: Path | None,
    split: str | None,
    overwrite: bool,
    format_: str,
    options: PipelineOptions,
    quiet: bool,
) -> int:
    """Teach a model your own labels, from as few as five images of each.

    The base model computes an embedding of each image, and a new last layer is trained on these. Its accuracy
    is measured by cross-validation. If it isn't better than always predicting the largest class, nothing is
    written. This command needs the extra 'teach': pip install 'pictag[teach]'.
    """
    if (data is None) == (from_library is None):
        raise click.UsageError(
            "Give either DATA (a folder with one folder per class, or a CSV) or --from-library FILE."
        )
    if update is not None and options.model is not None:
        raise click.UsageError("--update uses the base of the model that it updates. Leave out --base.")
    from pictag.teaching.lesson import plan_lesson
    from pictag.teaching.teacher import Teacher, adapt_options, embed_each

    options = adapt_options(options)
    lesson = plan_lesson(
        _choose_data(data, from_library), output, other=other, update=update, split=split, overwrite=overwrite
    )
    if update is not None:
        options = replace(options, model=update)
    options = choose_model(options, invocation, quiet=quiet)
    from pictag.cli.destination import Destination
    from pictag.cli.inputs import Inputs
    from pictag.cli.run import run_images
    from pictag.cli.taught import show_taught

    teachers: list[Teacher] = []

    def open_sink(classifier: ImageClassificationPipeline[Any]) -> tuple[Teacher, None]:
        teachers.append(Teacher(classifier, lesson))
        return teachers[0], None

    inputs = Inputs(sources=tuple(image.source for image in lesson.images))
    destination = Destination(format="table", path=None)
    status = run_images(inputs, options, destination, open_sink, quiet=quiet, classify=embed_each)
    with Interruption().listen(), closing(Progress(shown=not quiet)) as progress:

        def show(done: int, total: int) -> None:
            progress.draw(f"Cross-validation, {done:,} of {total:,} …", done, total)

        taught = teachers[0].finish(show)
    if not quiet:
        for problem in taught.problems:
            say(problem)
    show_taught(taught, format_)
    return status


def _choose_data(data: str | None, library: Path | None) -> str | LabelledData:
    if library is None:
        assert data is not None
        return data
    from pictag.cli.library_labels import read_library_labels

    return read_library_labels(library)
