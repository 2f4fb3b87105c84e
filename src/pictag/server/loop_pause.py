"""A pause of the event loop under overload, in which refusals gather."""

from __future__ import annotations

import asyncio
import time

_PAUSE_S = 0.006
_ROUNDS_TO_ANSWER = 4  # of the event loop: a refusal that was decided has left by then


class LoopPause:
    """At most one pause at a time, after the refusals that can be told now.

    Each time the event loop wakes up it takes a core from a worker, and that core's cache too. Under overload
    there is always something for it to do, and a pause now and then leaves the workers a twentieth more,
    while a refusal takes 7 ms in place of 2. It blocks on purpose: all that could be done meanwhile is what
    should gather.
    """

    __slots__ = ("_is_planned",)

    def __init__(self) -> None:
        self._is_planned = False

    def plan(self) -> None:
        """Pause soon, unless that is planned already. Called in the event loop."""
        if not self._is_planned:
            self._is_planned = True
            self._pause_after(_ROUNDS_TO_ANSWER)

    def _pause_after(self, rounds: int) -> None:
        if rounds:
            asyncio.get_running_loop().call_soon(self._pause_after, rounds - 1)
        else:
            self._is_planned = False
            time.sleep(_PAUSE_S)
