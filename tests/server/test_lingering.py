from __future__ import annotations

import asyncio
from typing import Any

from pictag.server.lingering import LingeringTransport


class Recorder(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def write_eof(self) -> None:
        self.sent.append("end")

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return True


def test_what_is_written_in_one_go_leaves_in_one_piece() -> None:
    async def write() -> list[bytes | str]:
        recorder = Recorder()
        transport = LingeringTransport(recorder, asyncio.get_running_loop())
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
        transport = LingeringTransport(recorder, asyncio.get_running_loop())
        transport.write(b"last")
        transport.close()
        transport.write(b"too late")
        await asyncio.sleep(0)
        return recorder.sent

    assert asyncio.run(close()) == [b"last", "end"]
