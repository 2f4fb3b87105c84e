"""The gallery's page on a free port, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liveserver import LONGEST_S, wait_until
from pictag.browser.application import make_app
from pictag.browser.opened_library import OpenedLibrary
from pictag.browser.running import HOST, LocalServer
from pictag.server.sockets import bind

TOKEN = "a-token-for-tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPage:
    """A running page."""

    port: int
    library: OpenedLibrary
    token: str = TOKEN

    @property
    def address(self) -> str:
        """The page's address without the token."""
        return f"http://{HOST}:{self.port}"

    @property
    def entrance(self) -> str:
        """The address that pictag browse prints."""
        return f"{self.address}/?token={self.token}"

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        token: str | None = TOKEN,
        **headers: str,
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """One request: status, body (JSON where it is), and headers. ``token`` is sent as a header."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=LONGEST_S)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["X-Pictag-Token"] = token
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.request(
                method or ("GET" if body is None else "POST"), path, body=content, headers=sent
            )
            answer = connection.getresponse()
            received = answer.read()
        finally:
            connection.close()
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(received) if is_json else received, answer.headers


@contextlib.contextmanager
def run_gallery(path: Path) -> Iterator[GalleryPage]:
    """The page of a library, until the end of the block."""
    with contextlib.closing(OpenedLibrary(path)) as library, contextlib.closing(bind(HOST, 0)) as listener:
        port = listener.getsockname()[1]
        server = LocalServer(make_app(library, token=TOKEN, port=port))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield GalleryPage(port=port, library=library)
        finally:
            server.should_exit = True
            thread.join(LONGEST_S)
