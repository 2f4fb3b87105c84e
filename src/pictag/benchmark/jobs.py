"""What a worker process is asked to do, and what it answers: values that travel between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pictag.errors import PictagError
from pictag.images import Failed, Source
from pictag.models.options import LoadOptions
from pictag.models.reference import ModelRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """One engine with one of a model's weights files, which is at hand already."""

    reference: ModelRef
    engine: str
    dtype: str
    cache_dir: Path | None
    device: str

    @property
    def load_options(self) -> LoadOptions:
        """To load it with, without asking the network again."""
        return LoadOptions(
            dtype=self.dtype,
            cache_dir=self.cache_dir,
            local_files_only=True,
            device=self.device,
            engine=self.engine,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJob:
    """Find the images that can be used; measure how fast they are decoded and preprocessed."""

    model: ModelChoice
    images: tuple[Source | Failed, ...]
    decode: Literal["exact", "fast"]
    step_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitJob:
    """Measure how fast matrices are multiplied."""

    step_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJob:
    """Measure one engine with one of the model's weights files."""

    model: ModelChoice
    images: tuple[Source, ...]
    decode: Literal["exact", "fast"]
    batch_size: int | None
    step_s: float


Job = ImageJob | LimitJob | ModelJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """A step begins."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Fields of the record that the job is about, and their values."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broke:
    """The job cannot go on."""

    error: PictagError


Message = Began | Found | Broke
