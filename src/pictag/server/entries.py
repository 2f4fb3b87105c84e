"""What the registry keeps of each model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from pictag.server.served import ModelSpec, ModelState, ServedModel

FIRST_PAUSE_S = 1.0  # after a failed load


@dataclass(slots=True, eq=False)
class Loaded:
    """A model in memory, and how many use it now; a retired one is closed when its last use ends."""

    served: ServedModel
    uses: int = 0
    is_retired: bool = False
    last_used: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class Entry:
    """One of the models that a server offers, loaded or not. Times are on `time.monotonic`."""

    spec: ModelSpec
    waiting: int = 0  # for the load that is under way
    loaded: Loaded | None = None
    loading: asyncio.Task[Loaded] | None = None
    error: Exception | None = None
    pause_s: float = FIRST_PAUSE_S
    retry_at: float = 0.0
    was_loaded: bool = False
    size_bytes: int = 0  # of the weights, once they are known
    timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody uses the model that is loaded, or is about to."""
        return self.waiting == 0 and (self.loaded is None or self.loaded.uses == 0)

    @property
    def state(self) -> ModelState:
        """One that failed counts as unloaded when it may be tried again."""
        if self.loaded is not None:
            return "ready"
        if self.loading is not None:
            return "loading"
        return "failed" if self.error is not None and time.monotonic() < self.retry_at else "unloaded"
