"""``pictag serve`` with ``GET /-/tasks``, which returns the number of asyncio tasks and objects.

``--leak-bytes N`` before pictag's own arguments leaks N bytes per request, so that a test can check that it
detects leaks. With ``--trace`` after it the response also has ``traced_bytes``, the bytes currently
allocated by Python and NumPy.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tracemalloc
from typing import Any

from pictag.cli import main
from pictag.server import serving

PATH = "/-/tasks"


def watch(leak_bytes: int) -> None:
    """Wrap every application that the server makes."""
    make_app, kept = vars(serving)["make_app"], []

    def make_watched(services: Any) -> Any:
        app = make_app(services)

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            if scope.get("path") == PATH:
                gc.collect()
                seen = {"tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
                if tracemalloc.is_tracing():
                    seen["traced_bytes"] = tracemalloc.get_traced_memory()[0]
                body = json.dumps(seen)
                headers = [(b"content-length", str(len(body)).encode())]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body.encode()})
                return
            if leak_bytes and scope["type"] == "http":
                kept.append(b"\x01" * leak_bytes)
            await app(scope, receive, send)

        return watched

    vars(serving)["make_app"] = make_watched


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
