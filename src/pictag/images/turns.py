"""One thread at a time for an object that several images share."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


_turns: dict[int, _Turn] = {}
_turns_lock = threading.Lock()


@contextmanager
def take_turns(shared: object) -> Iterator[None]:
    """While inside, no other thread is inside with the same object; different objects do not wait.

    An image that Pillow has opened is decoded when it is first looked at, and two threads that do so at once
    get half of each other's pixels.

    >>> with take_turns("a"), take_turns("b"):
    ...     pass
    """
    with _turns_lock:
        turn = _turns.setdefault(id(shared), _Turn())
        turn.users += 1
    try:
        with turn.lock:
            yield
    finally:
        with _turns_lock:
            turn.users -= 1
            if not turn.users:
                del _turns[id(shared)]
