from __future__ import annotations

import asyncio
import threading

import pytest

from pictag.errors import EngineError
from pictag.server.threads import run_in_thread


def test_a_limit_on_threads_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(EngineError, match="doesn't allow another thread"):
        asyncio.run(run_in_thread(list, name="refused"))


def test_an_exception_that_ends_the_thread_is_raised_in_the_caller() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        asyncio.run(asyncio.wait_for(run_in_thread(leave, name="leaving"), 30))
