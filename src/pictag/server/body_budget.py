"""A limit on the memory of all request bodies that are being received or worked on."""

from __future__ import annotations

from pictag.server.http_errors import Overloaded

FREE_BYTES = 2**18
"""Not counted, of each body: small images are accepted even while large uploads fill the budget."""
_RETRY_S = 5.0


class BodyBudget:
    """Counts the bytes of bodies beyond the first `FREE_BYTES` of each, at most ``max_bytes`` in total.

    Admission bounds the images that wait for a worker, but a body is in memory before that: while it arrives
    and while a model is loaded for it. A single body may have any size. Used in the event loop only.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0

    def grow(self, size: int, more: int) -> None:
        """Add ``more`` bytes to a body of ``size`` bytes. Raises `Overloaded` and then counts nothing."""
        own = _count(size)
        added = _count(size + more) - own
        if added and self.held_bytes > own and self.held_bytes + added > self._max_bytes:
            raise Overloaded(_RETRY_S, "Too many bytes are being uploaded.", reason="uploads")
        self.held_bytes += added

    def release(self, size: int) -> None:
        """Give back a body of ``size`` bytes."""
        self.held_bytes -= _count(size)


def _count(size: int) -> int:
    return max(0, size - FREE_BYTES)
