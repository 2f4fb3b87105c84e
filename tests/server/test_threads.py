from __future__ import annotations

import asyncio
import threading

import pytest

from pictag.server.threads import ThreadRefused, run_in_thread


def test_what_ends_a_thread_is_told_to_whoever_waits() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        asyncio.run(asyncio.wait_for(run_in_thread(leave, name="leaving"), 30))


def test_where_no_thread_can_be_had_nothing_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with pytest.raises(ThreadRefused, match="can't start"):
            await run_in_thread(begun.append, name="none")  # type: ignore[arg-type]
        assert begun == []

    begun: list[object] = []
    with monkeypatch.context() as none:
        none.setattr(threading.Thread, "start", start)
        asyncio.run(main())
