"""The values that travel between the measuring process and its parent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pictag.benchmark.records import Result
from pictag.images import Source
from pictag.models.reference import ModelRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTask:
    """Measure one engine with one of the model's weights files, which are already on disk."""

    reference: ModelRef
    engine: str
    dtype: str
    device: str
    cache_dir: Path | None
    images: tuple[Source, ...]
    decode: Literal["exact", "fast"]
    batch_size: int | None
    step_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The result so far, and the step that starts now; ``None`` after the last one."""

    result: Result
    next_step: str | None = None
