from __future__ import annotations

import asyncio
import threading
import time

import pytest

from pictag.errors import DeadlineExceeded, EngineError, FetchTimeout
from pictag.images import FetchLimits
from pictag.server import fetcher as fetcher_module
from pictag.server.fetcher import Fetcher


def test_more_urls_than_are_read_at_a_time_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And each place is given back, also where no thread could be had."""
    count = 3 * fetcher_module.MAX_FETCHES
    reading, most = [0], [0]
    lock = threading.Lock()
    together = threading.Barrier(fetcher_module.MAX_FETCHES)

    def fetch(url: str, *, limits: FetchLimits) -> bytes:
        with lock:
            reading[0] += 1
            most[0] = max(most[0], reading[0])
        together.wait(30)
        with lock:
            reading[0] -= 1
        return b"image"

    def start_none(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(fetcher_module, "fetch_bytes", fetch)

    async def main() -> None:
        fetcher = Fetcher(FetchLimits())
        with monkeypatch.context() as none:
            none.setattr(threading.Thread, "start", start_none)
            for _ in range(count):
                with pytest.raises(EngineError, match="doesn't allow another thread"):
                    await fetcher.fetch("http://host/x", deadline_s=time.monotonic() + 60)
        bodies = await asyncio.gather(
            *(fetcher.fetch(f"http://host/{n}", deadline_s=time.monotonic() + 60) for n in range(count))
        )
        assert bodies == [b"image"] * count
        assert most[0] == fetcher_module.MAX_FETCHES

    asyncio.run(main())


def test_a_url_that_is_not_read_before_the_deadline_is_late_and_not_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fetch(url: str, *, limits: FetchLimits) -> bytes:
        raise FetchTimeout(f"not read within {limits.timeout_s} s")

    monkeypatch.setattr(fetcher_module, "fetch_bytes", fetch)

    async def main() -> None:
        fetcher = Fetcher(FetchLimits(timeout_s=5))
        with pytest.raises(DeadlineExceeded):
            await fetcher.fetch("http://host/x", deadline_s=time.monotonic() + 1)
        with pytest.raises(FetchTimeout):
            await fetcher.fetch("http://host/x", deadline_s=time.monotonic() + 60)

    asyncio.run(main())
