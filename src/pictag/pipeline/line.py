"""How pictures travel through a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pictag.images import FetchLimits, PictureLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How pictures travel: set once for a pipeline.

    ``batch_sizes`` are tried and the best is kept; ``lanes`` is ``None`` where measurement is to choose;
    ``cores`` may be used. ``job`` is what most calls will be, ``auto`` where each says it by itself.
    """

    batch_sizes: tuple[int, ...]
    lanes: int | None
    cores: int
    job: Literal["auto", "one", "many"]
    limits: PictureLimits
    fetch: FetchLimits
    fast_decode: bool
    always_list: bool
