"""``pictag quantize``: 8-bit weights, calibrated with images and checked against the original."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Literal

import click

from pictag.cli.card import show_size
from pictag.cli.ending import ALL_WELL, debug_option, say
from pictag.cli.interruption import Interruption
from pictag.cli.options import CACHE_DIR, MODEL_FILE, OFFLINE, QUIET, RECURSIVE, REVISION
from pictag.cli.progress import Progress
from pictag.errors import escape

if TYPE_CHECKING:
    from pathlib import Path

    from pictag.quantization import Progress as Step
    from pictag.quantization import Report

_MOST_NAMED = 10

EXAMPLES = """
Examples:

\b
  pictag quantize my-model --calibrate photos/ --output my-model-int8
  pictag quantize org/name --calibrate train/ --recursive --check test/ --output name-int8
  pictag classify holiday/ --model my-model-int8

The written folder works with ONNX Runtime and with OpenVINO. 'pictag models inspect' shows how it was
calibrated, its speed, and its agreement with the original.

Exit status: 0 success (images that can't be read are named and left out), 2 wrong usage, no such model, or
too little agreement with the original, 74 the output can't be written, 130 interrupted. Nothing is written
unless the status is 0.
"""


@click.command(epilog=EXAMPLES, short_help="Quantize a model's weights to 8-bit integers.")
@click.argument("model", metavar="MODEL")
@click.option(
    "--calibrate",
    required=True,
    metavar="FOLDER",
    help="Images for calibration: a hundred or more, similar to those that will be classified.",
)
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The model folder to write.")
@click.option(
    "--check",
    metavar="FOLDER",
    help="Images for comparing the new weights with the original ones. [default: every fourth image of "
    "--calibrate]",
)
@RECURSIVE
@click.option(
    "--most-images",
    type=int,
    default=300,
    show_default=True,
    metavar="N",
    help="Maximum number of calibration images, and also of check images. They are picked evenly from the "
    "folder.",
)
@click.option(
    "--min-agreement",
    type=float,
    default=0.97,
    show_default=True,
    metavar="SHARE",
    help="Share of images, from 0 to 1, whose best label must stay the same. Below 0.97, even labels with a "
    "high score change.",
)
@click.option("--accept-below", is_flag=True, help="Write the folder even if --min-agreement is not reached.")
@click.option("--keep-original", is_flag=True, help="Also copy the float weights into the folder.")
@click.option("--overwrite", is_flag=True, help="Replace the folder if this command has written it.")
@click.option(
    "--processor",
    type=click.Choice(("auto", "vnni", "x86", "arm")),
    default="auto",
    show_default=True,
    help="CPU that will run the model: vnni (Intel or AMD with the 8-bit instructions VNNI), x86 (without "
    "VNNI) or arm. auto is the CPU of this machine.",
)
@REVISION
@MODEL_FILE
@CACHE_DIR
@OFFLINE
@QUIET
@debug_option
def quantize(
    *,
    model: str,
    calibrate: str,
    output: str,
    check: str | None,
    recursive: bool,
    most_images: int,
    min_agreement: float,
    accept_below: bool,
    keep_original: bool,
    overwrite: bool,
    processor: Literal["auto", "vnni", "x86", "arm"],
    revision: str | None,
    model_file: str | None,
    cache_dir: Path | None,
    local_files_only: bool,
    quiet: bool,
) -> int:
    """Quantize a model's weights to 8-bit integers: faster, and a quarter of the size.

    MODEL is a model with float weights: a name on the Hub (org/name, org/name@revision), a folder, or an
    .onnx file. This command needs the extra 'quantize': pip install 'pictag[quantize]'. It tries several
    calibration methods until the best labels agree with the original's. If none succeeds, the most sensitive
    parts of the model stay in float.
    """
    from pictag.quantization import quantize_model

    with Interruption().listen(), closing(Progress(shown=not quiet)) as progress:

        def show(step: Step) -> None:
            count = f", {step.done:,} of {step.total:,}" if step.total else ""
            progress.draw(f"{step.step}{count} …", step.done, step.total)

        report = quantize_model(
            model,
            calibrate=calibrate,
            output=output,
            check=check,
            recursive=recursive,
            most_images=most_images,
            min_agreement=min_agreement,
            accept_below=accept_below,
            keep_original=keep_original,
            overwrite=overwrite,
            processor=processor,
            revision=revision,
            model_file=model_file,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            on_progress=show,
            on_download=progress.show_download,
        )
    if not quiet:
        for skipped in report.skipped[:_MOST_NAMED]:
            say(f"Left out: {skipped.reason}")
        if len(report.skipped) > _MOST_NAMED:
            say(f"Left out: {len(report.skipped) - _MOST_NAMED} more images.")
    _show(report)
    return ALL_WELL


def _show(report: Report) -> None:
    from pictag.quantization.measurement import ENGINES

    how = "held out of the calibration" if report.check_held_out else "of a separate folder"
    lines = [
        f"{report.output}: calibrated with {report.calibration_images} images, checked on "
        f"{report.check_images} {how}"
    ]
    for artefact in report.artefacts:
        freed = f", {len(artefact.float_nodes)} nodes left in float" if artefact.float_nodes else ""
        sizes = f"{show_size(report.original_bytes)} → {show_size(artefact.size_bytes)}"
        lines.append(f"  {artefact.path}  {sizes}  ({artefact.method}{freed})")
        for engine, agreement in artefact.agreement.items():
            speed = artefact.speed[engine]
            lines.append(
                f"    {ENGINES[engine]:<13}{agreement.top1:.1%} same best label, scores differ by "
                f"{agreement.mean_difference:.3f} (at most {agreement.largest_difference:.3f}); "
                f"{speed.original:,.1f} → {speed.quantized:,.1f} images/s"
            )
    if report.lowest_top1 < report.threshold:
        lines.append(
            f"  Below the requested agreement ({report.threshold:.1%}); accepted with --accept-below."
        )
    for line in lines:
        click.echo(escape(line))
