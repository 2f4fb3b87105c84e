from __future__ import annotations

import asyncio

import pytest

from pictag.server.threads import run_in_thread


def test_an_exception_that_ends_the_thread_is_raised_in_the_caller() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        asyncio.run(asyncio.wait_for(run_in_thread(leave, name="leaving"), 30))
