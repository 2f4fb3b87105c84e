"""Requests to the real server: ``with serve({"name": folder}) as server: ask(server, "GET", "/health")``."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liveserver import run_server
from pictag.server.services import Services


@dataclass(frozen=True)
class LiveServer:
    """A running server."""

    port: int
    services: Services

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@contextmanager
def serve(models: Mapping[str, Path | str], **options: Any) -> Iterator[LiveServer]:
    """Serve models by name, loaded on first use; ``options`` are settings such as ``api_key="…"``."""
    named = tuple(f"{name}={reference}" for name, reference in models.items())
    with run_server(models=named, **{"preload": False, **options}) as live:
        yield LiveServer(port=live.port, services=live.services)


def ask(
    server: LiveServer, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on a new connection; an iterable of bytes as ``body`` is sent in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def talk(server: LiveServer, data: bytes, *, timeout_s: float = 10.0) -> bytes:
    """Everything the server sends in response to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        connection.sendall(data)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)
