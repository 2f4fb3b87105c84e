"""One image on its way through the server."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pictag.images import Source
    from pictag.server.served_model import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an admitted image takes up: bytes, pixels, and expected seconds of a worker."""

    size_bytes: int
    pixels: int
    seconds: float


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """One admitted image. The event loop owns ``future``; a worker owns the rest once it has taken it.

    It starts with a ``source`` to decode or with ``pixel_values`` [1, C, H, W], and ends with ``logits`` [L]
    or an ``error``. ``is_wanted`` becomes false when nobody awaits it any more.
    """

    served: ServedModel
    source: Source | None
    pixel_values: NDArray[np.float32] | None
    deadline_s: float
    cost: Cost
    future: asyncio.Future[NDArray[np.float32]]
    admitted_s: float = field(default_factory=time.monotonic)
    is_wanted: bool = True
    is_begun: bool = False
    logits: NDArray[np.float32] | None = None
    error: Exception | None = None
    decode_s: float = 0.0
    run_s: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether somebody still awaits it and its deadline has not passed."""
        return self.is_wanted and time.monotonic() < self.deadline_s
