from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from pictag.server.reloads import Reloads


def test_whoever_asks_during_a_round_has_one_more_follow() -> None:
    async def main() -> None:
        begun, gate = [0], asyncio.Event()

        async def reload() -> None:
            begun[0] += 1
            await gate.wait()

        registry: Any = SimpleNamespace(reload=reload)
        reloads = Reloads(registry)
        reloads.ask()
        await asyncio.sleep(0)
        assert begun == [1]
        for _ in range(5):
            reloads.ask()
            await asyncio.sleep(0)
        assert begun == [1]
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert begun == [2]
        reloads.ask()
        await asyncio.sleep(0)
        assert begun == [3]

    asyncio.run(main())
