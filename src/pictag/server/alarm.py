"""A time limit that is set and lifted many times a second, and seldom runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Alarm:
    """One limit at a time, of whatever is waited for now.

    A loop's own timers go into a heap when they are made, and stay there when they are cancelled: with three
    for each request, a tenth of the event loop's time under overload. This one leaves a timer in the heap as
    it is, and looks when it goes off whether there is still something to wait for.

    >>> import asyncio
    >>> async def ring() -> list[str]:
    ...     said: list[str] = []
    ...     alarm = Alarm(asyncio.get_running_loop())
    ...     alarm.set(0.01, lambda: said.append("never"))
    ...     alarm.set(0.02, lambda: said.append("late"))
    ...     await asyncio.sleep(0.1)
    ...     return said
    >>> asyncio.run(ring())
    ['late']
    """

    __slots__ = ("_at_s", "_callback", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._callback: Callable[[], object] | None = None
        self._at_s = 0.0

    def set(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call ``callback`` after so long, in place of what was set before."""
        self._callback = callback
        self._at_s = self._loop.time() + delay_s
        if self._timer is not None and self._timer.when() > self._at_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._at_s, self._ring)

    def lift(self) -> None:
        """There is no limit now."""
        self._callback = None

    def close(self) -> None:
        """Lift the limit for good: nothing holds on to this any more."""
        self._callback = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._callback is None:
            return
        if self._loop.time() < self._at_s:
            self._timer = self._loop.call_at(self._at_s, self._ring)
            return
        callback, self._callback = self._callback, None
        callback()
