"""``pictag bench``: measure a model on this machine."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from typing import TYPE_CHECKING, Literal

import click

from pictag.cli.ending import ALL_WELL, SOME_FAILED, debug_option
from pictag.cli.interruption import Interrupted, Interruption
from pictag.cli.options import (
    BATCH_SIZE,
    CACHE_DIR,
    DECODE,
    DEVICE,
    OFFLINE,
    PIXEL_LIMIT,
    QUIET,
    RECURSIVE,
    REPORT_FORMAT,
    REVISION,
)
from pictag.cli.progress import Progress
from pictag.engines.registry import ENGINE_NAMES
from pictag.models.weights import DTYPES

if TYPE_CHECKING:
    from pathlib import Path

    from pictag.benchmark.records import Progress as Step
    from pictag.benchmark.records import Report
    from pictag.options import Decode

EXAMPLES = """
Examples:

\b
  pictag bench embedded
  pictag bench Xenova/vit-base-patch16-224 photos/ --dtype fp32 --dtype q8
  pictag bench my-model photos/ --recursive --decode fast --format json > bench.json

Exit status: 0 success, 1 an engine or dtype failed, 2 wrong usage, no model or no image, 130 interrupted
(the measurements so far are printed).
"""


@click.command(epilog=EXAMPLES, short_help="Measure a model on this machine.")
@click.argument("model", metavar="MODEL")
@click.argument("folder", metavar="[FOLDER]", required=False)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(ENGINE_NAMES),
    help="An engine to measure. Can be repeated. [default: all installed engines]",
)
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(DTYPES),
    help="The weights to measure. Can be repeated. [default: all that are in the folder or the Hub's cache]",
)
@DEVICE
@REVISION
@CACHE_DIR
@OFFLINE
@DECODE
@BATCH_SIZE
@PIXEL_LIMIT
@RECURSIVE
@click.option(
    "--images",
    type=int,
    default=64,
    show_default=True,
    metavar="N",
    help="Maximum number of different images. They are picked evenly from FOLDER.",
)
@click.option(
    "--seconds",
    "step_s",
    type=float,
    default=1.0,
    show_default=True,
    metavar="S",
    help="Approximate duration of each measurement; longer is more stable.",
)
@REPORT_FORMAT
@QUIET
@debug_option
def bench(
    *,
    model: str,
    folder: str | None,
    engines: tuple[str, ...],
    dtypes: tuple[str, ...],
    device: str,
    revision: str | None,
    cache_dir: Path | None,
    local_files_only: bool,
    decode: Decode,
    batch_size: int | None,
    max_pixels: int,
    recursive: bool,
    images: int,
    step_s: float,
    format_: Literal["table", "json"],
    quiet: bool,
) -> int:
    """Measure a model on this machine: images per second, latency, memory and start time.

    MODEL is a name on the Hub (org/name, org/name@revision), a folder, an .onnx file, or a built-in model
    (embedded, efficientnet-lite0). FOLDER (or a quoted pattern) contains the images to classify; without it,
    JPEGs of 500×375 are generated. Close other programs first: they change the results.
    """
    from pictag.benchmark import measure

    known: Report | None = None
    interruption = Interruption()
    with interruption.listen(), closing(Progress(shown=not quiet)) as progress:

        def show(step: Step) -> None:
            nonlocal known
            known = step.report
            progress.clear()  # so that draw() shows even a short step
            progress.draw(f"{step.number} of {step.total} · {step.step} …")

        try:
            report = measure(
                model,
                folder,
                engines=engines or None,
                dtypes=dtypes or None,
                device=device,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                decode=decode,
                batch_size=batch_size,
                max_pixels=max_pixels,
                images=images,
                step_s=step_s,
                recursive=recursive,
                on_progress=show,
                on_download=progress.show_download,
            )
        except Interrupted as interrupted:
            progress.clear()
            if known is not None:
                _print(known, format_)
            raise Interrupted(interrupted.number, "Interrupted; not everything was measured.") from None
        progress.clear()
        _print(report, format_)
    return SOME_FAILED if any(result.failure for result in report.results) else ALL_WELL


def _print(report: Report, format_: Literal["table", "json"]) -> None:
    if format_ == "json":
        click.echo(json.dumps(dataclasses.asdict(report), indent=2))
        return
    from pictag.cli.bench_table import draw_report

    click.echo(draw_report(report), nl=False)
