"""Running the application in uvicorn, and stopping it without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from pictag.errors import CorruptModel, ModelUnavailable, PictagError, shorten
from pictag.models.hub_client import is_offline
from pictag.models.options import LoadOptions
from pictag.server import logs
from pictag.server.services import make_services
from pictag.server.signals import CUT_OFF, STOPPED, SignalHandler
from pictag.server.sockets import accept_pending, bind, explain_bind_error, raise_file_limit
from pictag.server.transport import make_protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

    from pictag.server.services import Services
    from pictag.server.settings import ServerSettings

_log = logging.getLogger("pictag.server")

CONFIGURATION_ERROR = 2
INTERNAL_ERROR, TEMPORARY_FAILURE = 70, 75  # EX_SOFTWARE and EX_TEMPFAIL of sysexits.h
# How long the event loop waits while a worker holds the interpreter. With Python's default of 5 ms it waited
# 11 ms at the 90th percentile under load, with this value 8 ms; still smaller values gained nothing.
SWITCH_INTERVAL_S = 0.0005
# New objects between two runs of the garbage collector; with Python's default of 700 it took a tenth of the
# event loop's time.
GARBAGE_THRESHOLD = 20_000
_BACKLOG = 2048
_FINAL_S = 2.0  # of shutdown_timeout_s, reserved for the last responses and for closing models
_DEADLINES_S = 0.1  # how often the connections' deadlines are checked


def serve(make_app: Callable[[Services], Starlette], settings: ServerSettings, *, debug: bool = False) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0 if every request was finished, 1 if some were cut off.

    A second signal ends the process at once. If the server can't start, the log has the reason (with
    ``debug`` also the traceback), and the exit status is that of `choose_status`.
    """
    logs.configure_logging(settings)
    if debug:
        logging.getLogger("pictag").setLevel(logging.DEBUG)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
    try:
        raise_file_limit(settings.max_connections)
        with contextlib.closing(bind(settings.host, settings.port)) as listener:
            signals = SignalHandler(settings.shutdown_timeout_s)
            with signals.installed(), asyncio.Runner(loop_factory=choose_loop()) as runner:
                app = make_app(make_services(settings))
                return runner.run(_run(app, listener, signals))
    except PictagError as error:
        _log.error("%s", error, exc_info=error if debug else None)
        return choose_status(error, settings)
    except Exception as error:  # noqa: BLE001 - the outermost handler: logged in the configured format
        what = f"{type(error).__name__}: {shorten(error)}"
        _log.critical("internal error, please report it: %s", what, exc_info=error)
        return INTERNAL_ERROR


def choose_status(error: Exception, settings: ServerSettings) -> int:
    """The exit status of a server that can't start.

    75 if trying again may help: the address is in use or not available yet, or the Hub doesn't respond or the
    download broke off. Otherwise 2, and 70 for an internal error.
    """
    if not isinstance(error, PictagError):
        return INTERNAL_ERROR
    cause = error.__cause__
    if isinstance(error, ModelUnavailable):
        is_temporary = not is_offline(LoadOptions(local_files_only=settings.offline))
    elif isinstance(error, CorruptModel):
        is_temporary = isinstance(cause, OSError)  # the download broke off
    else:
        is_temporary = isinstance(cause, OSError) and cause.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    return TEMPORARY_FAILURE if is_temporary else CONFIGURATION_ERROR


async def _run(app: Starlette, listener: socket.socket, signals: SignalHandler) -> int:
    services: Services = app.state.services
    server, loop, reload = GracefulServer(app), asyncio.get_running_loop(), asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(app.router.lifespan_context(app))
        except Exception as error:  # noqa: BLE001 - the registry has already logged it
            return choose_status(error, services.settings)
        gc.freeze()  # imported modules and loaded models are not garbage
        reloading = asyncio.create_task(_reload_when(reload, services))
        signals.reload, signals.stop = lambda: loop.call_soon_threadsafe(reload.set), server.stop
        await server.serve(sockets=[listener])
        reloading.cancel()
    _log.info("stopped", extra={"fields": {"cut_off": server.cut_off}})
    return CUT_OFF if server.cut_off else STOPPED


async def _reload_when(reload: asyncio.Event, services: Services) -> None:
    """Reload the models each time the event is set; a signal during a reload starts one more."""
    while True:
        await reload.wait()
        reload.clear()
        await services.registry.reload()


class GracefulServer(uvicorn.Server):
    """uvicorn's server without its signal handling; when stopped, it still accepts pending connections.

    ``app`` is an application of `pictag.server.app.make_app` whose lifespan has started.
    """

    def __init__(self, app: Starlette) -> None:
        self.services: Services = app.state.services
        settings = self.services.settings
        self.cut_off = 0
        self._final_s = min(settings.shutdown_timeout_s / 2, _FINAL_S)
        super().__init__(
            uvicorn.Config(
                app,
                http=make_protocol(settings, self.services.metrics),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                workers=1,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                backlog=_BACKLOG,
                timeout_graceful_shutdown=settings.shutdown_timeout_s - self._final_s,
            )
        )

    def stop(self) -> None:
        """Report "not ready" and start to stop."""
        self.services.is_stopping = True
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `SignalHandler`: uvicorn would end the process with its own exit status."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and log the URL."""
        host, port = (sockets or [])[0].getsockname()[:2]
        try:
            await super().startup(sockets)
        except OSError as error:  # two sockets may be bound to an address until one of them listens
            raise explain_bind_error(error, host, port) from error
        self._deadlines = asyncio.create_task(self._check_deadlines())
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("serving", extra={"fields": {"url": url}})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept pending connections, stop listening, and finish all requests."""
        fields: dict[str, object] = {"connections": len(self.server_state.connections)}
        if self.server_state.tasks:
            fields |= {
                "requests": len(self.server_state.tasks),
                "note": "a second signal ends the process at once",
            }
        _log.info("stopping", extra={"fields": fields})
        pending = [sock for listener in sockets or [] for sock in accept_pending(listener)]
        for server in self.servers:
            server.close()
        make: Any = self.config.http_protocol_class
        make = partial(make, self.config, self.server_state, self.lifespan.state)
        for sock in pending:
            try:
                await asyncio.get_running_loop().connect_accepted_socket(make, sock)
            except OSError:  # the client is gone
                sock.close()
        await super().shutdown(sockets)
        self.cut_off = len(self.server_state.tasks)
        await self._send_last_responses()
        self._deadlines.cancel()

    async def _check_deadlines(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_DEADLINES_S)
            connections: Any = tuple(self.server_state.connections)
            for connection in connections:
                connection.check_deadlines(loop.time())

    async def _send_last_responses(self) -> None:
        """Wait until the responses to requests that were cut off are sent, before the process ends."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._final_s / 2
        while self.server_state.connections and loop.time() < until:
            await asyncio.sleep(0.01)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the event loop closes them in its next iteration


def choose_loop() -> Any:
    """uvloop's event loop if it is installed."""
    return uvicorn.Config(None, log_config=None).get_loop_factory()  # type: ignore[arg-type]
