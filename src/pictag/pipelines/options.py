"""How images travel through a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pictag.images import FetchLimits, ImageLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionOptions:
    """How images travel: set once for a pipeline.

    ``batch_sizes`` are tried and the best is kept; ``workers`` is ``None`` where measurement is to choose;
    ``cores`` may be used. ``mode`` is what most calls will be, ``auto`` where each says it by itself.
    """

    batch_sizes: tuple[int, ...]
    workers: int | None
    cores: int
    mode: Literal["auto", "latency", "throughput"]
    limits: ImageLimits
    fetch: FetchLimits
    fast_decode: bool
    always_list: bool
