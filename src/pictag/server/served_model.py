"""A server's models: what to open, what is open, and their status."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from pictag.errors import PictagError
from pictag.images import make_source
from pictag.keywords import count_concepts
from pictag.pipelines.opening import open_runners

if TYPE_CHECKING:
    import asyncio

    from pictag.execution import ModelRunner
    from pictag.models.card import ModelCard
    from pictag.models.load import Model
    from pictag.options import PipelineOptions
    from pictag.pipelines.runners import Runners

FIRST_BACKOFF_S = 1.0
"""Until the next attempt after a failed load."""
ModelState = Literal["unloaded", "loading", "ready", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that a server offers: its name, and how it is opened."""

    name: str
    options: PipelineOptions


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class ServedModel:
    """A loaded model. After a reload there may be two of the same name for a while.

    ``size_bytes`` is the size of its weights, about what it takes in memory when it is not running.
    ``concepts`` is the number of broader concepts that its keywords may have.
    """

    name: str
    runner: ModelRunner
    runners: Runners
    size_bytes: int
    concepts: int

    def close(self) -> None:
        """Release the sessions."""
        self.runners.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A model's status; ``labels`` and ``card`` while it is loaded, ``error`` after a failed load.

    ``takes_requests`` says whether clients should send requests now; an unloaded model is loaded by them.
    """

    name: str
    state: ModelState
    takes_requests: bool
    labels: tuple[str, ...] | None = None
    card: ModelCard | None = None
    error: str | None = None


@dataclass(slots=True, eq=False)
class Loaded:
    """A model in memory and its number of users; a retired one is closed when its last use ends."""

    served: ServedModel
    uses: int = 0
    is_retired: bool = False
    last_used: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class ModelSlot:
    """One of the models that a server offers, loaded or not. Times are on `time.monotonic`."""

    spec: ModelSpec
    waiting: int = 0  # for the current load
    loaded: Loaded | None = None
    loading: asyncio.Task[Loaded] | None = None
    error: Exception | None = None
    backoff_s: float = FIRST_BACKOFF_S  # until the next attempt after a failed load
    retry_at: float = 0.0
    was_loaded: bool = False
    size_bytes: int = 0  # of the weights, known after the first load
    timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the model is neither in use nor about to be."""
        return self.waiting == 0 and (self.loaded is None or self.loaded.uses == 0)

    @property
    def state(self) -> ModelState:
        """The model's state; after a failed load "unloaded" once it may be tried again."""
        if self.loaded is not None:
            return "ready"
        if self.loading is not None:
            return "loading"
        return "failed" if self.error is not None and time.monotonic() < self.retry_at else "unloaded"


def open_model(spec: ModelSpec) -> ServedModel:
    """Open a model for serving: each run uses one thread, and several runs are made in parallel.

    The model is run once, since the first run takes many times as long as the others and would distort the
    estimated waiting times. Raises an error of the ``ModelError`` branch, `EngineError`, `OptionError` or
    `MissingExtra`.
    """
    runners = open_runners(spec.options)
    try:
        runner = runners.adapt(runners.get("throughput"), spec.options.scoring)
        pixel_values, _ = runner.load(make_source(np.zeros((64, 64, 3), np.uint8)))
        runner.infer(pixel_values)
    except PictagError:
        runners.close()
        raise
    return ServedModel(
        name=spec.name,
        runner=runner,
        runners=runners,
        size_bytes=_measure_weights(runners.model),
        concepts=count_concepts(runners.model),  # which takes a while for many labels
    )


def _measure_weights(model: Model) -> int:
    weights = model.weights
    size = 0
    with contextlib.suppress(OSError):
        size = sum(
            path.stat().st_size
            for path in (weights, *(weights.parent / name for name in model.graph.external))
        )
    return size
