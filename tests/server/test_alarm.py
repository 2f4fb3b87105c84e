from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pictag.server.alarm import Alarm


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is told to it; it counts the timers that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.timers = 0

    def time(self) -> float:
        return self.now_s

    def call_at(self, *args: Any, **named: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        self.timers += 1
        return super().call_at(*args, **named)

    def turn_to(self, now_s: float) -> None:
        """Let all timers go off that are due until then, each at its own time."""
        while self._scheduled and self._scheduled[0].when() <= now_s:  # type: ignore[attr-defined]
            self.now_s = max(self.now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
            self.call_soon(self.stop)
            self.run_forever()
        self.now_s = now_s


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["set", "lift", "wait"]), st.integers(1, 50)), max_size=25))
def test_it_goes_off_when_the_last_limit_is_over_and_at_no_other_time(steps: list[tuple[str, int]]) -> None:
    loop = Clock()
    try:
        alarm, rung = Alarm(loop), []
        due: float | None = None
        expected = []

        def note() -> None:
            rung.append(loop.now_s)

        for step, number in steps:
            if step == "set":
                alarm.set(number, note)
                due = loop.now_s + number
            elif step == "lift":
                alarm.lift()
                due = None
            else:
                until = loop.now_s + number
                if due is not None and due <= until:
                    expected.append(due)
                    due = None
                loop.turn_to(until)
        loop.turn_to(loop.now_s + 100)
        assert rung == expected + ([] if due is None else [due])
        alarm.close()
    finally:
        loop.close()


def test_a_limit_that_is_set_anew_for_each_request_makes_few_timers() -> None:
    loop = Clock()
    try:
        alarm = Alarm(loop)
        for request in range(1000):
            loop.turn_to(request / 100)
            alarm.set(10, loop.stop)  # its headers
            alarm.lift()
            alarm.set(30, loop.stop)  # until the next one
        assert loop.timers <= 2
        alarm.close()
    finally:
        loop.close()


def test_nothing_is_held_on_to_after_it_was_closed() -> None:
    class Client:
        def leave(self) -> None:
            pass

    async def use() -> weakref.ref[Client]:
        client = Client()
        leave: Callable[[], None] = client.leave
        alarm = Alarm(asyncio.get_running_loop())
        alarm.set(60, leave)
        alarm.close()
        return weakref.ref(client)

    reference = asyncio.run(use())
    gc.collect()
    assert reference() is None
