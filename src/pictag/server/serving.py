"""Running the server: everything is made, started, and stopped without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from pictag.engines.cores import count_cores
from pictag.errors import CorruptModel, ModelUnavailable, OptionError, PictagError, shorten
from pictag.images import FetchLimits
from pictag.models.hub_client import is_offline
from pictag.models.options import LoadOptions
from pictag.server import logs
from pictag.server.app import make_app
from pictag.server.arrivals import Arrivals
from pictag.server.dispatch import Dispatcher, WorkLimits
from pictag.server.limits import make_limits
from pictag.server.listening import accept_all, bind, explain, raise_file_limit
from pictag.server.metrics import Metrics
from pictag.server.naming import read_model
from pictag.server.registry import Registry
from pictag.server.reloads import Reloads
from pictag.server.services import Services
from pictag.server.stopping import ALL_WELL, SOME_CUT_OFF, Stop
from pictag.server.transport import make_protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.server.settings import ServerSettings

_log = logging.getLogger("pictag.server")

CANNOT_BEGIN, BROKEN = 2, 70
TRY_AGAIN = 75  # sysexits.h calls it EX_TEMPFAIL
# So long the event loop waits for its turn while a worker holds the interpreter. Python's own 5 ms made it
# wait 11 ms at the ninetieth percentile under load, this 8 ms; still less gained nothing more.
SWITCH_INTERVAL_S = 0.0005
# So many new objects until the garbage collector looks for circles among them; with Python's 700 it took a
# tenth of the event loop's time.
GARBAGE_THRESHOLD = 20_000
_BACKLOG = 2048
_LAST_WORDS_S = 2.0  # of the time to stop in, kept for last answers and for closing models


def serve(settings: ServerSettings, *, debug: bool = False) -> int:
    """Serve until SIGTERM or SIGINT; 0 when every request was finished, 1 when some had to be cut off.

    A second signal ends the process at once. Where it cannot begin, the log says why, with ``debug`` also
    where, and the status is that of `choose_status`.
    """
    logs.configure_logging(settings)
    if debug:
        logging.getLogger("pictag").setLevel(logging.DEBUG)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
    try:
        raise_file_limit(settings.max_connections)
        with contextlib.closing(bind(settings.host, settings.port)) as listener:
            stop = Stop(settings.shutdown_timeout_s)
            with stop.listen(), asyncio.Runner(loop_factory=choose_loop()) as runner:
                return runner.run(_run(settings, listener, stop))
    except PictagError as error:
        _log.error("%s", error, exc_info=error if debug else None)
        return choose_status(error, settings)
    except Exception as error:  # noqa: BLE001 - a door: it is logged, in the form that was asked for
        what = f"{type(error).__name__}: {shorten(error)}"
        _log.critical("something went wrong inside pictag, please report it: %s", what, exc_info=error)
        return BROKEN


def choose_status(error: Exception, settings: ServerSettings) -> int:
    """The exit status for what kept a server from beginning.

    75 where trying again may help: the address is taken or not there yet, or the Hub does not answer or broke
    off. 2 where it cannot, and 70 for a defect.
    """
    if not isinstance(error, PictagError):
        return BROKEN
    cause = error.__cause__
    if isinstance(error, ModelUnavailable):
        may_pass = not is_offline(LoadOptions(local_files_only=settings.offline))
    elif isinstance(error, CorruptModel):
        may_pass = isinstance(cause, OSError)  # the download was cut short
    else:
        may_pass = isinstance(cause, OSError) and cause.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    return TRY_AGAIN if may_pass else CANNOT_BEGIN


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
        # One fills the gaps of the others: 3 % more images with float weights, as many with 8-bit ones.
        workers=settings.threads or count_cores() + 1,
        max_batch=settings.max_batch,
        limits=limits,
        metrics=metrics,
    )
    metrics.observe_load(queued=lambda: dispatcher.queued, running=lambda: dispatcher.running)
    metrics.observe_models(registry.names(), lambda name: registry.describe(name).state == "ready")
    return Services(
        settings=settings,
        registry=registry,
        dispatcher=dispatcher,
        arrivals=Arrivals(settings.max_queued_bytes),
        metrics=metrics,
    )


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which leaves signals to us and forgets nobody who is at the door when it closes."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self.services = services
        self.url = ""
        self.cut_off = 0
        self._last_words_s = min(settings.shutdown_timeout_s / 2, _LAST_WORDS_S)
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
                timeout_graceful_shutdown=settings.shutdown_timeout_s - self._last_words_s,  # type: ignore[arg-type]
            )
        )

    def stop(self) -> None:
        """Say that it is not ready any more, and begin to stop."""
        self.services.readiness.is_stopping = True
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """`Stop` has them: uvicorn would end the process by the signal, and not with a status of ours."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, and say where it is."""
        host, port = (sockets or [])[0].getsockname()[:2]
        try:
            await super().startup(sockets)
        except OSError as error:  # sockets may share an address until one of them listens
            raise explain(error, host, port) from error
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("serving", extra={"fields": {"url": self.url}})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in who has knocked, close the door, and finish."""
        fields: dict[str, object] = {"connections": len(self.server_state.connections)}
        if self.server_state.tasks:
            fields |= {
                "requests": len(self.server_state.tasks),
                "note": "a second signal ends it at once",
            }
        _log.info("stopping", extra={"fields": fields})
        knocking = [arrived for listener in sockets or [] for arrived in accept_all(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for arrived in knocking:
            try:
                await loop.connect_accepted_socket(self._make_connection, arrived)
            except OSError:  # it has left again
                arrived.close()
        await super().shutdown(sockets)
        self.cut_off = len(self.server_state.tasks)
        await self._part()

    async def _part(self) -> None:
        """Let those who were cut off hear of it: what ends with the process may lose its last answer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._last_words_s / 2
        while self.server_state.connections and loop.time() < until:
            await asyncio.sleep(0.01)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the loop closes them at its next turn

    def _make_connection(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        connection: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return connection


async def _run(settings: ServerSettings, listener: socket.socket, stop: Stop) -> int:
    services = make_services(settings)
    try:
        await services.registry.start()
    except BaseException as error:
        services.dispatcher.close()
        if not isinstance(error, Exception):
            raise
        return choose_status(error, settings)  # the registry has logged it, with the model's name
    gc.freeze()  # what was imported and loaded stays
    loop, reloads = asyncio.get_running_loop(), Reloads(services.registry)
    stop.reload = lambda: loop.call_soon_threadsafe(reloads.ask)
    stop.server = server = GracefulServer(services)
    await server.serve(sockets=[listener])
    stop.reload = None
    await services.dispatcher.drain(0)
    services.dispatcher.close()
    await services.registry.close()
    _log.info("stopped", extra={"fields": {"cut_off": server.cut_off}})
    return SOME_CUT_OFF if server.cut_off else ALL_WELL


def choose_loop() -> Any:
    """uvloop's loop where it is installed."""
    return uvicorn.Config(None, log_config=None).get_loop_factory()  # type: ignore[arg-type]
