from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from pictag.server import loop_pause
from pictag.server.loop_pause import LoopPause


def test_there_is_one_pause_for_many_refusals_after_their_answers_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(loop_pause, "time", SimpleNamespace(sleep=pauses.append))

    async def main() -> None:
        pause = LoopPause()
        for _ in range(5):
            pause.plan()
        for _ in range(loop_pause._ROUNDS_TO_ANSWER):
            assert pauses == []
            await asyncio.sleep(0)
        assert pauses == [loop_pause._PAUSE_S]
        await asyncio.sleep(0)
        assert len(pauses) == 1
        pause.plan()
        for _ in range(loop_pause._ROUNDS_TO_ANSWER):
            await asyncio.sleep(0)
        assert len(pauses) == 2  # the next refusals gather anew

    asyncio.run(main())
