"""Running the server: everything is made, started, and stopped without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import uvicorn

from pictag.engines.cores import count_cores
from pictag.errors import OptionError, shorten
from pictag.images import FetchLimits
from pictag.server import logs
from pictag.server.app import make_app
from pictag.server.dispatch import Dispatcher, WorkLimits
from pictag.server.listening import accept_all, bind, raise_file_limit
from pictag.server.metrics import Metrics
from pictag.server.registry import ModelSpec, Registry
from pictag.server.services import Services
from pictag.server.transport import make_limits, make_protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from pictag.server.configuration import ServerSettings

_log = logging.getLogger("pictag.server")

ALL_WELL, SOME_CUT_OFF = 0, 1
# So long the event loop waits for its turn while a worker holds the interpreter. Python's own 5 ms made it
# wait 11 ms at the ninetieth percentile under load, this 8 ms; still less gained nothing more.
SWITCH_INTERVAL_S = 0.0005
# So many new objects until the garbage collector looks for circles among them; with Python's 700 it took a
# tenth of the event loop's time.
GARBAGE_THRESHOLD = 20_000
_BACKLOG = 2048
_LAST_WORDS_S = 2.0  # of the time to stop in, kept for closing models


def serve(settings: ServerSettings) -> int:
    """Serve until SIGTERM or SIGINT; 0 when every request was finished, 1 when some had to be cut off.

    A second signal ends the process at once. Raises an error of pictag's where it cannot begin: for a port
    that is taken, or a model that cannot be loaded.
    """
    logs.configure_logging(settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
    raise_file_limit(settings.max_connections)
    with contextlib.closing(bind(settings.host, settings.port)) as listener:
        stop = Stop(settings.shutdown_timeout_s)
        with stop.listen(), asyncio.Runner(loop_factory=choose_loop()) as runner:
            return runner.run(_run(settings, listener, stop))


def make_services(settings: ServerSettings) -> Services:
    """The rooms behind the protocols, as the settings say. Raises `OptionError` for a model's name."""
    metrics = Metrics()
    specs = [read_model(text, settings) for text in settings.models]
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise OptionError(f"models: two have the same name ({', '.join(names)}); give NAME=REFERENCE.")
    registry = Registry(
        specs,
        memory_budget_bytes=settings.memory_budget_mb * 2**20 if settings.memory_budget_mb else None,
        idle_s=settings.idle_s,
        preload=settings.preload,
    )
    limits = WorkLimits(
        max_queue=settings.max_queue,
        max_queued_bytes=settings.max_queued_bytes,
        max_queued_pixels=settings.max_queued_pixels,
        max_pixels=settings.max_pixels,
        fetch=FetchLimits(max_bytes=settings.max_body_bytes, allow_private=settings.allow_private_urls)
        if settings.allow_urls
        else None,
    )
    dispatcher = Dispatcher(
        workers=settings.threads or count_cores() + 1,  # as in the library: one fills the gaps of the others
        max_batch=settings.max_batch,
        limits=limits,
        metrics=metrics,
    )
    metrics.observe_load(queued=lambda: dispatcher.queued, running=lambda: dispatcher.running)
    metrics.observe_models(registry.names(), lambda name: registry.describe(name).state == "ready")
    return Services(settings=settings, registry=registry, dispatcher=dispatcher, metrics=metrics)


class Stop:
    """What signals ask for: the first to finish and end, the second to end."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.server: GracefulServer | None = None
        self.deadline_s: float | None = None

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """While inside, SIGTERM and SIGINT come here; outside the main thread they do not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.receive) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """A signal has come."""
        if self.deadline_s is not None:
            _end(128 + number)
        if self.server is None:  # nothing was accepted yet; a model that is loading can wait for nobody
            _end(ALL_WELL)
        self.begin()

    def begin(self) -> None:
        """Stop: whatever happens, the process is gone when the time is over."""
        assert self.server is not None
        self.deadline_s = time.monotonic() + self.timeout_s
        self.server.services.readiness.is_stopping = True
        self.server.should_exit = True
        if threading.current_thread() is threading.main_thread():
            watchdog = threading.Timer(max(0.1, self.timeout_s - 0.5), _end, [SOME_CUT_OFF])
            watchdog.daemon = True
            watchdog.start()


def _end(status: int) -> NoReturn:
    logs.flush()
    os._exit(status)


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which leaves signals to us and forgets nobody who is at the door when it closes."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self.services = services
        self.url = ""
        self.cut_off = 0
        super().__init__(
            uvicorn.Config(
                make_app(services),
                http=make_protocol(make_limits(settings), services.metrics),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                workers=1,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                backlog=_BACKLOG,
                timeout_graceful_shutdown=max(  # type: ignore[arg-type]
                    settings.shutdown_timeout_s / 2, settings.shutdown_timeout_s - _LAST_WORDS_S
                ),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """`Stop` has them: uvicorn would end the process by the signal, and not with a status of ours."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, and say where it is."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("serving", extra={"fields": {"url": self.url}})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in who has knocked, close the door, and finish."""
        _log.info("stopping", extra={"fields": {"connections": len(self.server_state.connections)}})
        knocking = [arrived for listener in sockets or [] for arrived in accept_all(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for arrived in knocking:
            with contextlib.suppress(OSError):  # it has left again
                await loop.connect_accepted_socket(self._make_connection, arrived)
        await super().shutdown(sockets)
        self.cut_off = len(self.server_state.tasks)

    def _make_connection(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        connection: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return connection


def read_model(text: str, settings: ServerSettings) -> ModelSpec:
    """A model as it is given, ``REFERENCE`` or ``NAME=REFERENCE``; raises `OptionError`.

    A folder or file is named after its last part, and a model of the Hub without its revision.
    """
    name, equals, reference = text.partition("=")
    if not equals or Path(text).exists():
        reference = text
        name = Path(text).resolve().stem if Path(text).exists() else text.partition("@")[0]
    parts = name.split("/")
    if not name.isprintable() or not reference or any(part in ("", ".", "..") for part in parts):
        raise OptionError(
            f"models: {shorten(repr(text), 80)} does not name a model; give REFERENCE or NAME=REFERENCE."
        )
    return ModelSpec(
        name=name,
        reference=reference,
        engine=settings.engine,
        dtype=settings.dtype,
        device=settings.device,
        decode=settings.decode,
        threads=settings.threads,
        max_pixels=settings.max_pixels,
        local_files_only=settings.offline,
    )


async def _run(settings: ServerSettings, listener: socket.socket, stop: Stop) -> int:
    services = make_services(settings)
    try:
        await services.registry.start()
    except BaseException:
        services.dispatcher.close()
        raise
    gc.freeze()  # what was imported and loaded stays
    stop.server = server = GracefulServer(services)
    await server.serve(sockets=[listener])
    await services.dispatcher.drain(0)
    services.dispatcher.close()
    await services.registry.close()
    _log.info("stopped", extra={"fields": {"cut_off": server.cut_off}})
    return SOME_CUT_OFF if server.cut_off else ALL_WELL


def choose_loop() -> Any:
    """uvloop's loop where it is installed."""
    return uvicorn.Config(None, log_config=None).get_loop_factory()  # type: ignore[arg-type]
