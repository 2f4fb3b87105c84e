"""A server's models as values: what to open, what is open, and its status."""

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
_MAX_CPU_BATCH = 4  # images that a core decodes and runs together if that is faster, as in the library


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that a server offers: its name, its reference, and options for `pictag.pipeline`."""

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
    """A loaded model. After a reload there may be two of the same name for a while.

    At most ``max_concurrency`` runs at a time and ``max_batch`` images per run (``None``: no limit).
    ``tuning`` decides how many images a worker takes at once.
    """

    name: str
    classifier: ImageClassificationPipeline
    max_concurrency: int | None
    max_batch: int | None
    tuning: Tuning
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A model's status; ``labels`` and ``card`` while it is loaded, ``error`` after a failed load.

    ``takes_requests`` says whether clients should send requests now; an unloaded model is loaded by them.
    """

    name: str
    reference: str
    state: ModelState
    takes_requests: bool
    labels: tuple[str, ...] | None = None
    card: ModelCard | None = None
    error: str | None = None


def open_pipeline(spec: ModelSpec) -> ImageClassificationPipeline:
    """Open a model for serving: each run uses one thread, and several runs are made in parallel.

    The model is run once, since the first run takes many times as long as the others and would distort the
    estimated waiting times. Raises an error of the ``ModelError`` branch, `EngineError`, `OptionError` or
    `MissingExtra`.
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
    """The opened model with the limits of its runs."""
    model = classifier.model
    fixed = classifier.engine.inputs[0].shape[0]
    # With dynamic quantization the value range spans the whole batch, so an image's scores would depend on
    # the others in it.
    max_batch = 1 if model.quantization == "dynamic" else None
    on_gpu = spec.device != "cpu"
    sizes = (1,) if max_batch == 1 or on_gpu else (1, _MAX_CPU_BATCH) if fixed is None else (fixed,)
    return ServedModel(
        name=spec.name,
        classifier=classifier,
        # A GPU is fastest with one large run at a time; images decoded meanwhile form the next batch.
        max_concurrency=1 if on_gpu else None,
        max_batch=max_batch,
        tuning=Tuning(batch_sizes=sizes, cores=1, workers=1),
        size_bytes=_measure_weights(classifier),
    )


def _measure_weights(classifier: ImageClassificationPipeline) -> int:
    """The bytes of a model's weights, about what it takes in memory when it is not running."""
    weights = classifier.model.weights
    size = 0
    with contextlib.suppress(OSError, InvalidModel):
        external = read_graph_file(weights).external
        size = sum(path.stat().st_size for path in (weights, *(weights.parent / name for name in external)))
    return size
