"""How pictures travel through a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pictag.images import FetchLimits, PictureLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How pictures travel: set once for a pipeline."""

    batch_size: int
    threads: int
    limits: PictureLimits
    fetch: FetchLimits
    fast_decode: bool
    always_list: bool
