"""A limit on the memory of all request bodies that are being received or worked on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pictag.server.http_errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """A function to call with a body's size whenever it grows; the body is released after the block.

        The function raises `Overloaded`, and then doesn't count the growth.
        """
        own = 0

        def grow(size: int) -> None:
            nonlocal own
            added = max(0, size - FREE_BYTES) - own
            if added <= 0:
                return
            if self.held_bytes > own and self.held_bytes + added > self._max_bytes:
                raise Overloaded(_RETRY_S, "Too many bytes are being uploaded.", reason="uploads")
            own += added
            self.held_bytes += added

        try:
            yield grow
        finally:
            self.held_bytes -= own
