"""Loading the models anew while the server runs, since a folder was changed or a newer revision is out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pictag.server.registry import Registry


class Reloads:
    """One round at a time; whoever asks during one has another follow it. Used in the event loop alone."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._is_asked = False
        self._round: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Have all models that are loaded replaced soon."""
        self._is_asked = True
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._is_asked:
            self._is_asked = False
            await self._registry.reload()
