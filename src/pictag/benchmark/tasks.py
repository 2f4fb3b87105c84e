"""The values that travel between the measuring process and its parent."""

from __future__ import annotations

from dataclasses import dataclass

from pictag.benchmark.records import Result
from pictag.images import Source
from pictag.options import PipelineOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTask:
    """Measure one engine with one of the model's weights files, which are already on disk.

    ``options`` name the model, the engine and the dtype.
    """

    options: PipelineOptions
    images: tuple[Source, ...]
    step_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The result so far, and the step that starts now; ``None`` after the last one."""

    result: Result
    next_step: str | None = None
