"""``pictag classify``: one line per image, as soon as its labels are known."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from pictag.cli.destination import FORMATS, Format, choose_destination
from pictag.cli.ending import Invocation, debug_option
from pictag.cli.inputs import Inputs
from pictag.models.weights import AUTO, DTYPES

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

Exit status: 0 success, 1 some images failed, 2 wrong usage or no model, 130 interrupted. After an
interruption the finished results are in the output, and --resume continues from there.
"""


class TopK(click.ParamType[int | None]):
    """A number of labels, or ``all``."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """The number, or None for all."""
        if value is None or value == "all":
            return None
        if isinstance(value, int):
            return value
        if not (str(value).isascii() and str(value).isdigit() and int(value) > 0):
            self.fail(f"{value!r} is neither a whole number of 1 or more nor 'all'.", param, ctx)
        return int(value)


@click.command(epilog=EXAMPLES, short_help="Classify images.")
@click.argument("inputs", nargs=-1, metavar="[IMAGE|FOLDER|GLOB|URL|-]...")
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model on the Hub (org/name, org/name@revision), a folder, an .onnx file, or 'embedded'. "
    "[default: PICTAG_MODEL, or Xenova/vit-base-patch16-224]",
)
@click.option(
    "--revision", metavar="REV", help="Branch, tag or commit of a model on the Hub. [default: main]"
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default=AUTO,
    show_default=True,
    help="Which of the model's weights to use; auto uses quantized weights on a CPU.",
)
@click.option(
    "--model-file", metavar="FILE", help="File name of the weights in the model, instead of --dtype."
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The Hub's cache. [default: set by HF_HOME and HF_HUB_CACHE]",
)
@click.option("--offline", is_flag=True, help="Don't use the network for models, only the cache.")
@click.option(
    "-k",
    "--top-k",
    type=TopK(),
    metavar="N|all",
    default=5,
    show_default=True,
    help="Number of labels per image, best first.",
)
@click.option(
    "--min-score",
    type=float,
    default=0.0,
    show_default=True,
    metavar="SCORE",
    help="Leave out labels with a lower score; 0 keeps all.",
)
@click.option(
    "--function-to-apply",
    type=click.Choice(("softmax", "sigmoid", "none")),
    help="How scores are computed from the model's output; none shows the raw output. "
    "[default: set by the model]",
)
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="[default: from the name of --output; otherwise table on a terminal, jsonl in a pipe]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the results to FILE. The ending .jsonl, .csv, .parquet or .txt sets the format. An existing "
    "FILE needs --resume or --overwrite. [default: standard output]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue FILE: skip the images that it already has, compared by name.",
)
@click.option("--retry-failed", is_flag=True, help="With --resume: try the images that failed again.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("-r", "--recursive", is_flag=True, help="Include the images of subfolders.")
@click.option(
    "--from-file",
    metavar="LIST",
    help="Read more names from the file LIST (- is standard input), one per line or NUL-separated.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images per run of the model. [default: 1 or 4, measured with the first images]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of CPU threads. [default: all cores]",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    metavar="N",
    help="Reject images with more pixels (width × height). [default: 178956970]",
)
@click.option(
    "--engine",
    type=click.Choice(("auto", "onnxruntime", "openvino")),
    default="auto",
    show_default=True,
    help="Inference engine; auto uses OpenVINO, if installed, for many images with calibrated 8-bit weights, "
    "otherwise ONNX Runtime.",
)
@click.option(
    "--device",
    metavar="DEVICE",
    default="cpu",
    show_default=True,
    help="cpu; with the extra gpu also cuda or tensorrt. cuda:1 is the second GPU.",
)
@click.option(
    "--precision",
    type=click.Choice(("f32", "bf16")),
    default="f32",
    show_default=True,
    help="bf16 (with --engine openvino) is faster on CPUs with bfloat16; scores change slightly.",
)
@click.option(
    "--compiled-cache",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where OpenVINO and TensorRT store the compiled model for later runs. [default: not stored]",
)
@click.option(
    "--decode",
    type=click.Choice(("exact", "fast")),
    default="exact",
    show_default=True,
    help="fast scales large JPEGs down while decoding; scores change slightly.",
)
@click.option(
    "--alpha",
    type=click.Choice(("drop", "white")),
    default="drop",
    show_default=True,
    help="Transparent images: drop the transparency, or flatten on white.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Total time limit for reading one URL. [default: 10]",
)
@click.option(
    "--allow-private-urls", is_flag=True, help="Allow URLs on this machine and in private networks."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, notes or summary on stderr.")
@debug_option
@click.pass_obj
def classify(
    invocation: Invocation,
    *,
    inputs: tuple[str, ...],
    model: str | None,
    revision: str | None,
    dtype: str,
    model_file: str | None,
    cache_dir: Path | None,
    offline: bool,
    top_k: int | None,
    min_score: float,
    function_to_apply: str | None,
    format_: Format | None,
    output: str | None,
    resume: bool,
    retry_failed: bool,
    overwrite: bool,
    recursive: bool,
    from_file: str | None,
    batch_size: int | None,
    threads: int | None,
    max_pixels: int | None,
    engine: str,
    device: str,
    precision: Literal["f32", "bf16"],
    compiled_cache: Path | None,
    decode: Literal["exact", "fast"],
    alpha: Literal["drop", "white"],
    timeout_s: float | None,
    allow_private_urls: bool,
    quiet: bool,
) -> int:
    """Classify images.

    IMAGE is an image file, FOLDER is all images in it, GLOB is a quoted pattern such as '*.jpg', URL begins
    with http: or https:, and - is one image from standard input.
    """
    names = Inputs(arguments=inputs, listed_in=from_file, recursive=recursive)
    names.check()
    destination = choose_destination(
        asked=format_, output=output, resume=resume, retry_failed=retry_failed, overwrite=overwrite
    )
    from pictag import pipeline
    from pictag.cli.classification import Scoring, run
    from pictag.images import ImageLimits

    load = partial(
        pipeline,
        "image-classification",
        model or invocation.settings.model,
        revision=revision,
        dtype=dtype,
        model_file=model_file,
        cache_dir=cache_dir,
        local_files_only=offline,
        batch_size=batch_size,
        threads=threads,
        device=device,
        precision=precision,
        compiled_cache=compiled_cache,
        max_pixels=max_pixels or ImageLimits().max_pixels,
        engine=engine,
        decode=decode,
        alpha=alpha,
        allow_private_urls=allow_private_urls,
    )
    scoring = Scoring(
        top_k=top_k, min_score=min_score, function_to_apply=function_to_apply, timeout_s=timeout_s
    )
    return run(names, load, scoring, destination, quiet=quiet)
