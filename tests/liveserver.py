"""The real server on a free port, in a thread or as a process."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictag.server.app import make_app
from pictag.server.served_model import ModelSpec, ServedModel, open_model
from pictag.server.services import Services, make_services
from pictag.server.serving import GracefulServer, choose_loop
from pictag.server.settings import ServerSettings
from pictag.server.sockets import bind

LONGEST_S = 60.0  # the longest wait for anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A running server."""

    port: int
    services: Services
    server: GracefulServer


@contextlib.contextmanager
def run_server(
    *, open_model: Callable[[ModelSpec], ServedModel] = open_model, **settings: Any
) -> Iterator[Live]:
    """A server in a thread, with its models loaded. By default it stops quickly."""
    services = make_services(
        ServerSettings(host="127.0.0.1", port=0, **{"shutdown_timeout_s": 1, **settings}),
        open_model=open_model,
    )
    app = make_app(services)
    server = GracefulServer(app)
    with contextlib.closing(bind("127.0.0.1", 0)) as listener:

        async def live() -> None:
            async with app.router.lifespan_context(app):
                await server.serve(sockets=[listener])

        port = listener.getsockname()[1]

        def run() -> None:
            with asyncio.Runner(loop_factory=choose_loop()) as runner:
                runner.run(live())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield Live(port=port, services=services, server=server)
        finally:
            server.stop()
            thread.join(LONGEST_S)


class Process:
    """``pictag serve`` as a process that logs to a file."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self.log = folder / "server.log"
        with self.log.open("wb") as stream:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "pictag", "serve", "--port", "0", "--log-format", "json", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=folder,
                env={**os.environ, **environ},
            )

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; every line must be JSON."""
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line]

    def port(self) -> int:
        """Wait until it accepts requests."""
        wait_until(lambda: '"serving"' in self.log.read_text() or self.popen.poll() is not None)
        url: str = next(line["url"] for line in self.lines() if line["message"] == "serving")
        return int(url.rpartition(":")[2])

    def wait(self, timeout_s: float = LONGEST_S) -> int:
        """Wait until it ends; its exit status."""
        return self.popen.wait(timeout_s)


@contextlib.contextmanager
def run_process(folder: Path, *arguments: str, **environ: str) -> Iterator[Process]:
    """``pictag serve`` with these arguments; killed at the end if it still runs."""
    process = Process(folder, *arguments, **environ)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait(LONGEST_S)


def wait_until(holds: Any, timeout_s: float = LONGEST_S) -> None:
    """Poll until the condition holds; fail after ``timeout_s``."""
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, "the condition did not become true in time"
        time.sleep(0.01)


def connect(port: int) -> socket.socket:
    """A connection to a local server."""
    return socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S)


def read_to_end(sock: socket.socket) -> bytes:
    """Everything until the server closes the connection; a reset counts as the end."""
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65_536):
            received += piece
    return bytes(received)


def read_response(sock: socket.socket) -> tuple[int, bytes, bytes]:
    """Status, head and body of the next response on a connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(1)
    length = re.search(rb"content-length: (\d+)", received)
    assert length is not None
    body = b""
    while len(body) < int(length[1]):
        body += sock.recv(int(length[1]) - len(body))
    return int(received[9:12]), received, body


def read_answer(sock: socket.socket) -> tuple[int, bytes, dict[str, Any]]:
    """Status, head and JSON body of the next response on a connection."""
    status, head, body = read_response(sock)
    return status, head, json.loads(body)


def ask(
    port: int, path: str = "/health", *, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """One request on a new connection: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_S)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
