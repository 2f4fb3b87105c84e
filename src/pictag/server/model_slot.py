"""What the registry knows about each model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from pictag.server.served_model import ModelSpec, ModelState, ServedModel

FIRST_BACKOFF_S = 1.0


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
