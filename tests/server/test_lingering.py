from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pictag.server.lingering import LINGER_S, MOST_BYTES, UPLOAD_BYTES, LingeringTransport

LONGEST_S = 30.0


class Recorder(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes | str] = []
        self.unsent_bytes = 0
        self.high_water: int | None = None

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def write_eof(self) -> None:
        self.sent.append("end")

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.sent[-1:] in (["close"], ["abort"])

    def is_reading(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high_water = high

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def close(self) -> None:
        self.sent.append("close")

    def abort(self) -> None:
        self.sent.append("abort")


class Clock:
    """A loop of which only time and timers are used."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.due: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        assert delay_s == LINGER_S
        self.due.append(callback)

    def tick(self) -> None:
        self.now_s += LINGER_S
        due, self.due = self.due, []
        for callback in due:
            callback()


def close_with(unsent_bytes: int) -> tuple[Clock, Recorder, LingeringTransport]:
    clock, recorder = Clock(), Recorder()
    recorder.unsent_bytes = unsent_bytes
    transport = LingeringTransport(recorder, clock, longest_s=LONGEST_S)  # type: ignore[arg-type]
    transport.close()
    return clock, recorder, transport


def test_what_is_written_in_one_go_leaves_in_one_piece() -> None:
    async def write() -> list[bytes | str]:
        recorder = Recorder()
        transport = LingeringTransport(recorder, asyncio.get_running_loop(), longest_s=LONGEST_S)
        transport.write(b"head ")
        transport.write(b"body")
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        return recorder.sent

    assert asyncio.run(write()) == [b"head body", b"next"]


def test_what_was_written_leaves_before_the_end() -> None:
    async def close() -> list[bytes | str]:
        recorder = Recorder()
        transport = LingeringTransport(recorder, asyncio.get_running_loop(), longest_s=LONGEST_S)
        transport.write(b"last")
        transport.close()
        transport.write(b"too late")
        await asyncio.sleep(0)
        return recorder.sent

    assert asyncio.run(close()) == [b"last", "end"]


def test_a_client_that_has_it_all_is_let_go_after_a_moment() -> None:
    clock, recorder, _ = close_with(0)
    assert recorder.sent == ["end"]
    clock.tick()
    assert recorder.sent == ["end", "close"]
    assert not clock.due


def test_its_time_begins_when_the_last_byte_has_left() -> None:
    clock, recorder, _ = close_with(20_000)
    assert recorder.high_water == 0  # the protocol hears of a client that does not read, however little
    for _ in range(20):
        clock.tick()
    assert recorder.sent == ["end"]
    recorder.unsent_bytes = 0
    clock.tick()
    assert recorder.sent == ["end"]
    clock.tick()
    assert recorder.sent == ["end", "close"]


def test_nothing_is_waited_for_once_the_connection_has_ended() -> None:
    clock, recorder, transport = close_with(20_000)
    transport.abort()
    clock.tick()
    assert recorder.sent == ["end", "abort"]
    assert not clock.due


def test_an_upload_that_goes_on_is_waited_for() -> None:
    clock, recorder, transport = close_with(0)
    for _ in range(10):
        transport.hear(UPLOAD_BYTES)
        clock.tick()
        assert recorder.sent == ["end"]
    clock.tick()
    assert recorder.sent == ["end", "close"]


def test_an_upload_that_goes_on_for_ever_is_not() -> None:
    clock, recorder, transport = close_with(0)
    while not recorder.is_closing():
        transport.hear(UPLOAD_BYTES)
        clock.tick()
    assert clock.now_s == LONGEST_S


def test_a_byte_now_and_then_is_no_upload() -> None:
    clock, recorder, transport = close_with(0)
    transport.hear(UPLOAD_BYTES - 1)
    clock.tick()
    assert recorder.sent == ["end", "close"]


def test_endless_bytes_are_reset() -> None:
    _, recorder, transport = close_with(0)
    transport.hear(MOST_BYTES)
    assert recorder.sent == ["end"]
    transport.hear(1)
    assert recorder.sent == ["end", "abort"]
