"""A timer that is set and cancelled many times per second and rarely fires."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class ReusableTimer:
    """One pending callback at a time.

    An event loop keeps cancelled timers in its heap; with three timers per request that took a tenth of the
    loop's time under overload. This timer leaves its entry in the heap and checks when it fires whether
    there is still something to do.

    >>> import asyncio
    >>> async def run() -> list[str]:
    ...     fired: list[str] = []
    ...     timer = ReusableTimer(asyncio.get_running_loop())
    ...     timer.set(0.01, lambda: fired.append("replaced"))
    ...     timer.set(0.02, lambda: fired.append("last"))
    ...     await asyncio.sleep(0.1)
    ...     return fired
    >>> asyncio.run(run())
    ['last']
    """

    __slots__ = ("_at_s", "_callback", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._callback: Callable[[], object] | None = None
        self._at_s = 0.0

    def set(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call ``callback`` after ``delay_s``; replaces what was set before."""
        self._at_s = self._loop.time() + delay_s
        if self._handle is None or self._handle.when() > self._at_s:
            self.release()
            self._handle = self._loop.call_at(self._at_s, self._fire)
        self._callback = callback

    def cancel(self) -> None:
        """Don't call the callback."""
        self._callback = None

    def release(self) -> None:
        """Cancel, and remove the entry from the event loop, which would keep this object alive."""
        self._callback = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        if self._callback is None:
            return
        if self._loop.time() < self._at_s:
            self._handle = self._loop.call_at(self._at_s, self._fire)
            return
        callback, self._callback = self._callback, None
        callback()
