"""``pictag serve`` with ``GET /-/tasks``, which returns the number of asyncio tasks and objects.

``--leak-bytes N`` before pictag's own arguments leaks N bytes per request, so that a test can check that it
detects leaks. With ``--trace`` after it the response also has ``traced_bytes``, the bytes currently
allocated by Python and NumPy.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from typing import Any

from starlette.responses import JSONResponse

from pictag.cli import main
from pictag.server import app as application

PATH = "/-/tasks"
kept: list[bytes] = []  # what --leak-bytes leaks


class Watch:
    """Middleware that answers `PATH`, and leaks memory on request."""

    def __init__(self, app: Any, *, leak_bytes: int) -> None:
        self.app = app
        self.leak_bytes = leak_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == PATH:
            gc.collect()
            seen = {"tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
            if tracemalloc.is_tracing():
                seen["traced_bytes"] = tracemalloc.get_traced_memory()[0]
            await JSONResponse(seen)(scope, receive, send)
            return
        if self.leak_bytes:
            kept.append(b"\x01" * self.leak_bytes)
        await self.app(scope, receive, send)


def watch(leak_bytes: int) -> None:
    """Add `Watch` to every application that the server makes."""
    make_app = application.make_app

    def make_watched(services: Any) -> Any:
        app = make_app(services)
        app.add_middleware(Watch, leak_bytes=leak_bytes)
        return app

    application.make_app = make_watched


if __name__ == "__main__":
    leak_bytes = 0
    if sys.argv[1:2] == ["--leak-bytes"]:
        leak_bytes = int(sys.argv[2])
        del sys.argv[1:3]
    if sys.argv[1:2] == ["--trace"]:
        del sys.argv[1]
        tracemalloc.start()
    watch(leak_bytes)
    sys.exit(main())
