"""The options that commands share: those of `pictag.options`, of inputs and of outputs.

Each decorator adds click options to a command and passes it one frozen value in place of them.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pictag.cli.destination import FORMATS, choose_destination
from pictag.cli.inputs import Inputs
from pictag.engines.registry import ENGINE_NAMES
from pictag.models.weights import AUTO, DTYPES
from pictag.options import (
    ACTIVATIONS,
    ALPHAS,
    CROPS,
    DECODES,
    MAX_PIXELS,
    OUTPUTS,
    PRECISIONS,
    read_pipeline_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pictag.options import PipelineOptions

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def read_top_k(text: str) -> int | None:
    """A number of labels, or None for ``all``."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise click.BadParameter(f"{text!r} is not allowed. Use 'all' or a whole number of at least 1.")
    return int(text)


REVISION = click.option("--revision", metavar="REV", help="Branch, tag or commit on the Hub. [default: main]")
DTYPE = click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default=AUTO,
    show_default=True,
    help="Which of the model's weights to use: fp32 (float32) is model.onnx, q8 is model_quantized.onnx, and "
    "any other X is model_X.onnx. auto is fp32 if the model has it. q8 is a quarter of the size and often "
    "faster; how accurate it is depends on the model.",
)
MODEL_FILE = click.option(
    "--model-file", metavar="FILE", help="Use this .onnx file of the model. Replaces --dtype."
)
MODEL_OUTPUT = click.option(
    "--model-output",
    "output_",
    type=click.Choice(OUTPUTS),
    help="What the model's graph returns. [default: detected from the model]",
)
MODEL_OUTPUT_NAME = click.option(
    "--model-output-name",
    "output_name",
    metavar="NAME",
    help="The graph output that holds the scores. [default: detected by type, shape and name]",
)
CACHE_DIR = click.option(
    "--cache-dir",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where models are stored. [default: the Hub's cache, set by HF_HOME and HF_HUB_CACHE]",
)
OFFLINE = click.option(
    "--offline",
    "local_files_only",
    is_flag=True,
    help="Use only models that are in the cache, without the network.",
)
DEVICE = click.option(
    "--device",
    metavar="DEVICE",
    default="cpu",
    show_default=True,
    help="Where the model runs: cpu, cuda or tensorrt. The last two need the extra 'gpu'; cuda:1 is the "
    "second GPU.",
)
DECODE = click.option(
    "--decode",
    type=click.Choice(DECODES),
    default="exact",
    show_default=True,
    help="exact gives the same pixels as transformers. fast scales large JPEGs down while decoding; scores "
    "change slightly.",
)
CROP = click.option(
    "--crop",
    type=click.Choice(CROPS),
    default="model",
    show_default=True,
    help="What the model sees. model: the part that the model's preprocessing keeps. whole: the whole "
    "image, padded to a square. tiles: three squares along the longer side, whose scores are averaged.",
)
ALPHA = click.option(
    "--alpha",
    type=click.Choice(ALPHAS),
    default="drop",
    show_default=True,
    help="For transparent images: drop ignores the transparency, white puts the image on a white background.",
)
BATCH_SIZE = click.option(
    "--batch-size",
    type=int,
    metavar="N",
    help="Images per run of the model. [default: 1 or 4, whichever is faster for the first images]",
)
PIXEL_LIMIT = click.option(
    "--max-pixels",
    type=int,
    metavar="N",
    default=MAX_PIXELS,
    show_default=True,
    help="Reject images with more pixels (width × height).",
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="No progress, notes or summary on stderr.")
RECURSIVE = click.option("-r", "--recursive", is_flag=True, help="Include images in subfolders.")

MODEL = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model on the Hub (org/name, org/name@revision), a folder, an .onnx file, or a built-in "
    "model (embedded, efficientnet-lite0). [default: PICTAG_MODEL, or Xenova/vit-base-patch16-224]",
)
TOP_K = click.option(
    "-k",
    "--top-k",
    type=read_top_k,
    metavar="N|all",
    default="5",
    show_default=True,
    help="Number of labels per image, best first.",
)
MIN_SCORE = click.option(
    "--min-score",
    type=float,
    default=0.0,
    show_default=True,
    metavar="SCORE",
    help="Leave out labels with a lower score; 0 keeps all.",
)
PIPELINE: Sequence[Decorator] = (
    MODEL,
    REVISION,
    DTYPE,
    MODEL_FILE,
    MODEL_OUTPUT,
    MODEL_OUTPUT_NAME,
    CACHE_DIR,
    OFFLINE,
    TOP_K,
    MIN_SCORE,
    click.option(
        "--function-to-apply",
        type=click.Choice(ACTIVATIONS),
        help="How scores are computed from the model's output; none shows the raw output. "
        "[default: set by the model]",
    ),
    BATCH_SIZE,
    click.option(
        "--threads",
        type=int,
        metavar="N",
        help="Number of CPU threads. [default: all cores]",
    ),
    PIXEL_LIMIT,
    click.option(
        "--engine",
        type=click.Choice(("auto", *ENGINE_NAMES)),
        default="auto",
        show_default=True,
        help="The library that runs the model. auto is ONNX Runtime, except for calibrated 8-bit weights, "
        "such as 'pictag quantize' makes, on CPUs with fast 8-bit instructions (VNNI or ARM): those run on "
        "OpenVINO, if it is installed.",
    ),
    DEVICE,
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="f32",
        show_default=True,
        help="bf16 (only with --engine openvino) is faster on CPUs with bfloat16 instructions; scores change "
        "slightly.",
    ),
    click.option(
        "--compiled-cache",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Where OpenVINO and TensorRT store the compiled model for later runs. [default: not stored]",
    ),
    DECODE,
    CROP,
    ALPHA,
    click.option(
        "--timeout",
        "timeout_s",
        type=float,
        metavar="SECONDS",
        help="Total time limit for reading one URL. [default: 10]",
    ),
    click.option(
        "--allow-private-urls", is_flag=True, help="Allow URLs on this machine and in private networks."
    ),
)
EMBEDDINGS: Sequence[Decorator] = (
    click.option("--embeddings", is_flag=True, help="Also write each image's embedding."),
    click.option(
        "--embedding-output",
        metavar="TENSOR",
        help="The tensor to use as the embedding. [default: the input of the layer that computes the scores]",
    ),
)
REPORT_FORMAT = click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="Output format.",
)
INPUTS: Sequence[Decorator] = (
    click.argument("arguments", nargs=-1, metavar="[IMAGE|FOLDER|GLOB|URL|-]..."),
    RECURSIVE,
    click.option(
        "--from-file",
        "listed_in",
        metavar="LIST",
        help="Read more names from the file LIST; - is standard input. The names are separated by newlines "
        "or NUL bytes, in UTF-8, or in UTF-16 with a byte order mark.",
    ),
)
RESUME: Sequence[Decorator] = (
    click.option(
        "--resume",
        is_flag=True,
        help="Continue the --output file, with the same model and options. Images whose names are in the "
        "file are skipped.",
    ),
    click.option("--retry-failed", is_flag=True, help="With --resume: retry the images that failed."),
)
OUTPUT: Sequence[Decorator] = (
    click.option(
        "-f",
        "--format",
        "asked",
        type=click.Choice(FORMATS),
        help="Output format. [default: set by the extension of --output; without --output, table on a "
        "terminal and jsonl elsewhere]",
    ),
    click.option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write the results to FILE. The extension sets the format: .jsonl, .json, .csv, .parquet or "
        ".txt (a table). If FILE exists and is not empty, add --resume or --overwrite. [default: standard "
        "output]",
    ),
    *RESUME,
    click.option("--overwrite", is_flag=True, help="Replace the --output file if it exists."),
)


def collect(options: Sequence[Decorator], name: str, make: Callable[[dict[str, Any]], object]) -> Decorator:
    """A decorator that adds the options, and passes ``make(values)`` under ``name`` instead of them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(*arguments: Any, **given: Any) -> Any:
            own = {key: given.pop(key) for key in keys}
            return command(*arguments, **{name: make(own)}, **given)

        outer = len(getattr(run, "__click_params__", []))
        for option in reversed(options):
            option(run)
        keys = [parameter.name for parameter in run.__click_params__[outer:]]  # type: ignore[attr-defined]  # click's
        return run

    return decorate


def read_pipeline(given: dict[str, Any]) -> PipelineOptions:
    """The options that the decorators of `PIPELINE` collected."""
    output = given.pop("output_")  # --output is the file of the results
    return read_pipeline_options(given | {"output": output})


pipeline_options = collect((*PIPELINE, *EMBEDDINGS), "options", read_pipeline)
input_options = collect(INPUTS, "inputs", lambda given: Inputs(**given))
output_options = collect(OUTPUT, "destination", lambda given: choose_destination(**given))
