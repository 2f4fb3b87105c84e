"""The models of a server as values: what is to be opened, what is open, and what is known of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pictag.errors import InvalidModel, PictagError
from pictag.models.graph_file import read_graph_file
from pictag.pipelines import pipeline
from pictag.stream import Tuning

if TYPE_CHECKING:
    from pictag.models.card import ModelCard
    from pictag.pipelines import ImageClassificationPipeline

ModelState = Literal["unloaded", "loading", "ready", "failed"]
MAX_PIXELS = 50_000_000
_MOST_TOGETHER = 4  # images that a core decodes and runs together, where that is faster: as the library does


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that a server offers: its name there, where it comes from, and `pictag.pipeline`'s options."""

    name: str
    reference: str
    engine: str = "auto"
    dtype: str = "auto"
    device: str = "cpu"
    decode: Literal["exact", "fast"] = "exact"
    threads: int | None = None
    max_pixels: int = MAX_PIXELS
    local_files_only: bool = False


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class ServedModel:
    """A model that is loaded; two of one name are different models.

    At most ``max_concurrency`` runs go on at once. ``max_batch`` is the limit of one run, ``None`` for no
    limit. ``tuning`` says how many images a worker should take together.
    """

    name: str
    classifier: ImageClassificationPipeline
    max_concurrency: int | None
    max_batch: int | None
    tuning: Tuning
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """What is known of a model; ``labels`` and ``card`` while it is loaded, ``error`` where that failed.

    ``takes_requests`` says whether clients should ask for it now: one that is not loaded is loaded then.
    """

    name: str
    reference: str
    state: ModelState
    takes_requests: bool
    labels: tuple[str, ...] | None = None
    card: ModelCard | None = None
    error: str | None = None


def open_pipeline(spec: ModelSpec) -> ImageClassificationPipeline:
    """Open a model for serving: every run on one thread, several runs beside each other.

    It is run once: the first run takes many times as long as those that follow, and no client should wait
    for that, or be refused for it by a forecast. Raises an error of the ``ModelError`` branch, `EngineError`,
    `OptionError` or `MissingExtra`.
    """
    classifier = pipeline(
        model=spec.reference,
        engine=spec.engine,
        dtype=spec.dtype,
        device=spec.device,
        decode=spec.decode,
        threads=spec.threads,
        max_pixels=spec.max_pixels,
        local_files_only=spec.local_files_only,
        mode="throughput",
    )
    try:
        classifier.forward(classifier.preprocess(np.zeros((64, 64, 3), np.uint8)))
    except PictagError:
        classifier.close()
        raise
    return classifier


def make_served(spec: ModelSpec, classifier: ImageClassificationPipeline) -> ServedModel:
    """What the dispatcher needs to know of a model that was opened."""
    model = classifier.model
    fixed = classifier.engine.inputs[0].shape[0]
    # Where ranges of 8-bit integers are found as the graph runs, they span the whole batch: an image's
    # scores would depend on its neighbours.
    max_batch = 1 if model.quantization == "dynamic" else None
    on_card = spec.device != "cpu"
    sizes = (1,) if max_batch == 1 or on_card else (1, _MOST_TOGETHER) if fixed is None else (fixed,)
    return ServedModel(
        name=spec.name,
        classifier=classifier,
        # A card does one run after the other, and the larger they are, the better: images that are
        # decoded meanwhile gather for the next.
        max_concurrency=1 if on_card else None,
        max_batch=max_batch,
        tuning=Tuning(batch_sizes=sizes, cores=1, workers=1),
        size_bytes=_measure_weights(classifier),
    )


def _measure_weights(classifier: ImageClassificationPipeline) -> int:
    """The bytes of a model's weights: what it takes in memory is about that, and more while it runs."""
    weights = classifier.model.weights
    size = 0
    with contextlib.suppress(OSError, InvalidModel):
        external = read_graph_file(weights).external
        size = sum(path.stat().st_size for path in (weights, *(weights.parent / name for name in external)))
    return size
