"""The ASGI application: routes, the API key, request ids, and one format for all errors."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route

from pictag.errors import PictagError, shorten
from pictag.server import logs
from pictag.server.http_errors import (
    BodyTimeout,
    MethodNotAllowed,
    Overloaded,
    RouteNotFound,
    Unauthorized,
    error_response,
    stopping_error,
)
from pictag.server.protocols import explanation, huggingface, information, keywords, oip, torchserve
from pictag.server.requests import read_content_length
from pictag.server.routing import ModelRouter
from pictag.server.web_page import make_routes

if TYPE_CHECKING:
    from pydantic import SecretStr
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pictag.server.services import Services

_VALID_ID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
_CLIENT_LEFT = 499  # for log and metrics only, as in nginx: the client doesn't receive it
_GET, _POST = ("GET",), ("POST",)


async def _root(request: Request) -> Response:
    """``POST /`` classifies with the default model; ``GET /`` describes the server."""
    handle = huggingface.classify if request.method == "POST" else information.describe
    return await handle(request)


# Path, methods, handler, and whether it works without the API key; tried in this order.
TABLE: Sequence[tuple[str, Sequence[str], Callable[[Request], Awaitable[Response]], bool]] = (
    ("/", ("GET", "POST"), _root, False),
    ("/v2/health/live", _GET, oip.server_live, True),
    ("/v2/health/ready", _GET, oip.server_ready, True),
    ("/v2", _GET, oip.describe_server, False),
    ("/v2/repository/index", _POST, oip.list_models, False),
    ("/v2/models/{model:path}/versions/{version}/infer", _POST, oip.infer, False),
    ("/v2/models/{model:path}/infer", _POST, oip.infer, False),
    ("/v2/models/{model:path}/versions/{version}/ready", _GET, oip.model_ready, True),
    ("/v2/models/{model:path}/ready", _GET, oip.model_ready, True),
    ("/v2/models/{model:path}/versions/{version}/config", _GET, oip.describe_config, False),
    ("/v2/models/{model:path}/config", _GET, oip.describe_config, False),
    ("/v2/models/{model:path}/versions/{version}", _GET, oip.describe_model, False),
    ("/v2/models/{model:path}", _GET, oip.describe_model, False),
    ("/predictions/{model:path}", ("POST", "PUT"), torchserve.predict, False),
    ("/ping", _GET, torchserve.ping, True),
    ("/health", _GET, information.health, True),
    ("/info", _GET, information.describe, False),
    ("/metrics", _GET, information.metrics, False),
    ("/openapi.json", _GET, information.openapi, True),
    ("/models", _GET, information.list_models, False),
    ("/models/{model:path}/health", _GET, information.health, True),
    ("/models/{model:path}/info", _GET, information.describe, False),
    ("/models/{model:path}", _POST, huggingface.classify, False),
    ("/v1/keywords", _POST, keywords.suggest, False),
    ("/v1/explain", _POST, explanation.explain, False),
)


def make_app(services: Services) -> Starlette:
    """The application that serves all protocols. Its lifespan loads the models and closes the ``services``.

    Every error becomes a response in the format of `pictag.server.http_errors.describe_error`.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            await services.registry.start()
            yield
        finally:
            await services.close()

    key = services.settings.api_key
    protection = [Middleware(_RequireKey, key=key)] if key is not None else []
    routes = [
        *make_routes(services.settings),
        *(
            Route(path, handler, methods=list(methods), middleware=[] if is_open else protection)
            for path, methods, handler, is_open in TABLE
        ),
        *(
            Route(path, oip.explain_missing, name=what, methods=["GET", "POST"])
            for path, what in oip.NOT_OFFERED
        ),
    ]
    app = Starlette(
        middleware=[Middleware(_Recorder, services=services)],
        exception_handlers={PictagError: _answer_error, HTTPException: _answer_http_exception},
    )
    app.state.services = services
    app.router = ModelRouter(routes, models=frozenset(services.registry.names()), lifespan=lifespan)
    return app


class _RequireKey:
    """Raises `Unauthorized` unless the request has the server's key."""

    def __init__(self, app: ASGIApp, *, key: SecretStr) -> None:
        self._app = app
        self._expected = key.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        bearer = credential.strip() if scheme.lower() == "bearer" else ""
        given = (bearer.encode("latin-1"), headers.get("x-api-key", "").encode("latin-1"))
        # Both are always compared, in constant time.
        if not sum(hmac.compare_digest(text, self._expected) for text in given):
            raise Unauthorized(
                "This server requires an API key: send 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'."
            )
        await self._app(scope, receive, send)


class _Recorder:
    """Gives each request an id, counts and logs it, and describes the errors that no handler expects."""

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = _Record(Request(scope, receive), send, self._services)
        try:
            await self._app(scope, record.receive, record.send)
        except ClientDisconnect:
            record.status = _CLIENT_LEFT
        except asyncio.CancelledError:
            # Cut off because the server's time to stop is over.
            if record.status or not self._services.is_stopping:
                raise
            late = BodyTimeout("The server is stopping, and the body was not complete.")
            await record.respond(stopping_error() if record.is_read else late)
        except Exception as error:  # logged, and described to the client
            if record.status:
                raise
            await record.respond(error)
        finally:
            record.finish()


class _Record:
    """One request's id, size, status and time."""

    def __init__(self, request: Request, send: Send, services: Services) -> None:
        self._request = request
        self._send = send
        self._services = services
        self._started_s = request.state.arrived_s = time.monotonic()
        self._is_finished = False
        self.status = 0
        self.received_bytes = 0  # before decompression
        # Whether nothing of the body is left that would have to be read before the connection's next request.
        self.is_read = not {"content-length", "transfer-encoding"} & set(request.headers)
        given = request.headers.get("x-request-id", "")
        # The client's own id if it is safe in logs and headers.
        request.state.request_id = given if _VALID_ID.fullmatch(given) else secrets.token_hex(8)
        request.state.model = ""
        logs.request_id.set(request.state.request_id)

    async def receive(self) -> Message:
        message = await self._request.receive()
        if message["type"] == "http.request":
            self.received_bytes += len(message.get("body", b""))
            self.is_read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request.state.request_id
            if not self.is_read and not self._can_discard_rest():
                headers["connection"] = "close"
        elif not message.get("more_body", False):
            self.finish()  # first, so that a client that has its response finds the request in the metrics
        await self._send(message)

    async def respond(self, error: Exception) -> None:
        response = await _answer_error(self._request, error)
        await response(self._request.scope, self.receive, self.send)

    def finish(self) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        seconds = time.monotonic() - self._started_s
        scope, metrics = self._request.scope, self._services.metrics
        route = getattr(scope.get("route"), "path", "other")
        metrics.received_bytes.inc(self.received_bytes)
        metrics.requests.labels(route, str(self.status)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        client = scope.get("client")
        logs.log_request(
            method=scope["method"],
            route=route,
            model=self._request.state.model,
            status=self.status,
            seconds=seconds,
            received_bytes=self.received_bytes,
            client=client[0] if client else "",
        )

    def _can_discard_rest(self) -> bool:
        """Whether the connection can continue after the rest of the body has arrived and was discarded.

        It can't if the body's end is unknown, if it is too slow, or if the client waits for ``100 Continue``
        and may never send it.
        """
        length = read_content_length(self._request, self._services.settings)
        return length is not None and self.status != 408 and "expect" not in self._request.headers


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Overloaded):
        request.app.state.services.metrics.refused.labels(error.reason).inc()
    v2 = request.scope["path"].startswith("/v2")
    return error_response(error, request_id=request.state.request_id, v2=v2)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own errors, which the router and the static files raise."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = tuple(sorted((error.headers or {"Allow": "GET, HEAD"})["Allow"].split(", ")))
        known = MethodNotAllowed(f"This path takes {', '.join(allowed)}.", allowed=allowed)
        return await _answer_error(request, known)
    path = shorten(request.scope["path"], 80)
    return await _answer_error(
        request, RouteNotFound(f"Unknown path: {path}. /openapi.json lists all paths.")
    )
