"""Bodies that are held in memory: those that still come, and those whose requests are under way."""

from __future__ import annotations

from pictag.server.refusals import Overloaded

FREE_BYTES = 2**18
"""Of each body: small images come in whatever others hold back."""
_RETRY_S = 5.0


class Arrivals:
    """Counts the bytes of bodies beyond the first `FREE_BYTES` of each, ``max_bytes`` at most.

    What is let in has bounds of its own, but a body is held before that: while the rest of it is on its way,
    and while a model is loaded for it. One body alone may have any size. Used in the event loop alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0

    def grow(self, size: int, more: int) -> None:
        """A body of ``size`` bytes gets ``more``. Raises `Overloaded`, and counts nothing then."""
        own = _count(size)
        added = _count(size + more) - own
        if added and self.held_bytes > own and self.held_bytes + added > self._max_bytes:
            raise Overloaded(_RETRY_S, "Too many bytes of images are on their way.", reason="arriving")
        self.held_bytes += added

    def drop(self, size: int) -> None:
        """A body of ``size`` bytes is done with."""
        self.held_bytes -= _count(size)


def _count(size: int) -> int:
    return max(0, size - FREE_BYTES)
