"""The real server on a real socket, in a thread: ``with serve({"colours": folder}) as server: …``."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from pictag.server.app import Services, make_app
from pictag.server.configuration import ServerSettings
from pictag.server.dispatch import Dispatcher, WorkLimits
from pictag.server.metrics import Metrics
from pictag.server.registry import ModelSpec, Registry
from pictag.server.transport import make_limits, make_protocol


@dataclass
class LiveServer:
    """Where the server listens, and the rooms behind it."""

    port: int = 0
    services: Services = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    server: LiveServer, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on a connection of its own; an iterable of bytes as ``body`` is sent chunked."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def talk(server: LiveServer, data: bytes, *, timeout_s: float = 10.0) -> bytes:
    """Everything that comes back for these bytes on the wire, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        connection.sendall(data)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


@contextmanager
def serve(models: Mapping[str, Path | str], **options: Any) -> Iterator[LiveServer]:
    """Serve models by name; ``options`` are settings such as ``api_key="…"``."""
    server = LiveServer()
    started = threading.Event()
    stop: list[Any] = []
    failures: list[BaseException] = []

    async def run() -> None:
        settings = ServerSettings(**options)
        metrics = Metrics()
        registry = Registry(
            [
                ModelSpec(name=name, reference=str(reference), max_pixels=settings.max_pixels)
                for name, reference in models.items()
            ]
        )
        limits = WorkLimits(max_pixels=settings.max_pixels)
        dispatcher = Dispatcher(workers=2, max_batch=settings.max_batch, limits=limits, metrics=metrics)
        server.services = Services(
            settings=settings, registry=registry, dispatcher=dispatcher, metrics=metrics
        )
        config = uvicorn.Config(
            make_app(server.services),
            http=make_protocol(make_limits(settings), metrics),  # type: ignore[arg-type]
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
        )
        uvicorn_server = uvicorn.Server(config)
        stop.append(uvicorn_server)
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
            server.port = listener.getsockname()[1]
            serving = asyncio.create_task(uvicorn_server.serve(sockets=[listener]))
            while not uvicorn_server.started and not serving.done():
                await asyncio.sleep(0.005)
            started.set()
            await serving
        await dispatcher.drain(5)
        dispatcher.close()
        await registry.close()

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - raised again in the test
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=work, name="liveserver")
    thread.start()
    started.wait(30)
    if failures:
        raise failures[0]
    try:
        yield server
    finally:
        stop[0].should_exit = True
        thread.join(30)
    if failures:
        raise failures[0]
