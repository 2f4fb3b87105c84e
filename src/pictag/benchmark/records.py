"""The frozen records of a benchmark; ``docs/reference.md`` lists their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pictag.records import Failure

SCHEMA = "pictag-bench/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """``cores`` are those that the process may use; ``features`` are the processor's instruction sets that
    affect inference; ``versions`` are those of the installed packages.
    """

    system: str
    processor: str
    cores: int
    features: tuple[str, ...]
    python: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenImage:
    """An image that was left out, and why."""

    source: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The images that are classified: ``count`` readable ones from ``folder``, or generated ones if it is
    ``None``.
    """

    folder: str | None
    count: int
    broken: tuple[BrokenImage, ...]
    mean_bytes: float
    mean_pixels: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of ``count`` calls with one image each, from file to label, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRate:
    """Images per second through the model alone: ``concurrency`` runs at a time of ``batch_size`` images."""

    batch_size: int
    concurrency: int
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One engine with one of the model's weights files; a value that was not measured is ``None``.

    ``model_bytes`` is the size of all files that are used. ``start_s`` is the time from the start of a
    process to its first label. ``end_to_end_per_s`` is images per second from file to label, ``cpu_share``
    the share of the cores' time used meanwhile, and ``memory_bytes`` the peak of the process's memory until
    then. ``failure`` says why values are missing.
    """

    engine: str
    dtype: str
    weights: str | None = None
    model_bytes: int | None = None
    start_s: float | None = None
    end_to_end_per_s: float | None = None
    cpu_share: float | None = None
    memory_bytes: int | None = None
    latency: Latency | None = None
    inference: tuple[InferenceRate, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole benchmark; ``is_complete`` is false if it was interrupted.

    The number in ``schema`` changes when a field is removed or changes its meaning, not when one is added.
    """

    schema: str = SCHEMA
    began_at: str
    model: str
    revision: str | None
    device: str
    decode: str
    batch_size: int | None
    step_s: float
    machine: MachineFacts
    images: ImageFacts | None = None
    results: tuple[Result, ...] = ()
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The step that starts now, in part ``number`` of ``total``, and the report so far."""

    step: str
    number: int
    total: int
    report: Report
