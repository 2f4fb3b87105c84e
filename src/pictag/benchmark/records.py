"""The frozen values that a benchmark gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pictag.records import Failure

Arithmetic = Literal["float32", "int8"]
Step = Literal["decode", "preprocess", "inference"]

SCHEMA = "pictag-bench/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """Where it was measured: ``cores`` are those that the process may use, ``features`` the processor's
    instruction sets that matter here, ``versions`` those of the packages that are installed.
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
    """What was classified: ``count`` images that can be used, drawn by code or from ``folder``.

    ``decode_per_s`` and ``preprocess_per_s`` are images a second with a thread on each core;
    ``fast_decode_gain`` is how many times as fast ``decode="fast"`` decodes them as ``"exact"``.
    ``mean_bytes`` and ``mean_pixels`` say how large an image is. ``cpu_share`` is the part of the cores'
    time that decoding got: well below 1, something else was running, and all rates are too low.
    """

    origin: Literal["drawn", "folder"]
    folder: str | None
    count: int
    broken: tuple[BrokenImage, ...]
    mean_bytes: float
    mean_pixels: float
    decode_per_s: float
    fast_decode_gain: float
    preprocess_per_s: float
    cpu_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiplyRate:
    """The best matrix multiplication of this machine: ``gops`` are 10⁹ multiplications and additions a second
    (of floats: GFLOP/s), ``engine`` is what reached it.
    """

    gops: float
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Matrix multiplication on all cores; ``None`` where it was not measured."""

    float32: MultiplyRate | None = None
    int8: MultiplyRate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One image at a time through the call, from file to label: percentiles in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRate:
    """Images a second through the model alone: ``runs`` at a time, each of ``batch_size`` images."""

    batch_size: int
    runs: int
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphWork:
    """What one image costs: ``multiply_adds`` in matrix multiplications and convolutions, and the kind of
    number that they are done in (``int8`` where the graph is quantised).
    """

    multiply_adds: int
    arithmetic: Arithmetic


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckReport:
    """How far the whole line is from what is possible.

    ``multiply_per_s`` is the images a second if there were nothing but the model's multiplications, at the
    machine's measured rate; ``limit_per_s`` adds decoding and preprocessing as measured, and
    ``limit_share`` is the part of it that the line reaches. ``steps_per_s`` is what the measured steps would
    give with all cores always busy, ``steps_share`` the line's part of that. ``time_shares`` is each step's
    part of the time, ``bottleneck`` the largest, ``advice`` says it in a sentence.
    """

    multiply_per_s: float | None
    limit_per_s: float | None
    limit_share: float | None
    steps_per_s: float
    steps_share: float
    time_shares: Mapping[Step, float]
    bottleneck: Step
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One engine with one of the model's weights files; what was not measured (yet) is ``None``.

    ``dtype`` is what the file's name says, ``model_bytes`` the size of all files that are used.
    ``start_s`` lies between the start of a process and its first label, ``memory_bytes`` is the most
    that the process held while images went through the line, ``end_to_end_per_s`` are images a second from
    file to label, and ``cpu_share`` is the part of the cores' time that this took: well below 1, they waited,
    or something else was running. ``failure`` says why there is no more.
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
    work: GraphWork | None = None
    judgement: BottleneckReport | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was measured; ``is_complete`` is false where it was interrupted.

    ``schema`` changes its number when a field goes or changes its meaning, not when one is added.
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
    limits: Limits | None = None
    results: tuple[Result, ...] = ()
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is being measured, in words, in part ``number`` of ``total``, and all that is known so far."""

    step: str
    number: int
    total: int
    report: Report
