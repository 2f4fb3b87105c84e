"""The ASGI application: routes, request ids, the API key, and one format for all errors."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from pictag.errors import shorten
from pictag.server import logs, page
from pictag.server.bodies import ClientLeft
from pictag.server.http_errors import (
    BodyTimeout,
    HTTPError,
    ModelNotServed,
    RouteNotFound,
    Unauthorized,
    error_response,
    stopping_error,
)
from pictag.server.protocols import huggingface, information, oip, torchserve
from pictag.server.request import Request
from pictag.server.routing import Router
from pictag.server.services import Services

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Response]]

_REQUEST = "pictag.request"
_VALID_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")
_CLIENT_LEFT = 499  # for log and metrics only, as nginx does: nobody receives it
_GET, _POST = ("GET",), ("POST",)

# Path, methods, handler, and whether it works without the API key; tried in this order.
TABLE: Sequence[tuple[str, Sequence[str], Handler, bool]] = (
    ("/", _POST, huggingface.classify, False),
    ("/", _GET, information.describe_server, False),
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
    ("/health", _GET, information.server_health, True),
    ("/info", _GET, information.describe_server, False),
    ("/metrics", _GET, information.metrics, False),
    ("/openapi.json", _GET, information.openapi, True),
    ("/models", _GET, information.list_models, False),
    ("/models/{model:path}/health", _GET, information.model_health, True),
    ("/models/{model:path}/info", _GET, information.describe_model, False),
    ("/models/{model:path}", _POST, huggingface.classify, False),
)
_ALL_METHODS = ", ".join(sorted({"HEAD"}.union(*(methods for _, methods, _, _ in TABLE))))


@dataclass(slots=True)
class _Endpoint:
    """A handler as an ASGI application."""

    handler: Handler
    is_open: bool
    path: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request = scope[_REQUEST]
        request.path_params = scope["path_params"]
        request.route = self.path
        if not self.is_open and not _has_key(request):
            raise Unauthorized(
                "This server requires an API key: send 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'."
            )
        response = await self.handler(request)
        request.stop_watching()
        await response(scope, receive, send)


@dataclass(slots=True)
class _NotOffered:
    """A path of other servers that would otherwise be taken for a model's name."""

    what: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RouteNotFound(f"This server does not offer {self.what}.")


class _Sender:
    """Sends a response with the request's id, and counts and logs the request once."""

    __slots__ = ("is_recorded", "request", "scope", "send", "status")

    def __init__(self, send: Send, request: Request, scope: Scope) -> None:
        self.send = send
        self.request = request
        self.scope = scope
        self.status = 0
        self.is_recorded = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"].append((b"x-request-id", self.request.id.encode()))
            if not self.request.is_read:
                # The rest of the body would have to be read before the next request.
                message["headers"].append((b"connection", b"close"))
        elif not message.get("more_body", False):
            self.record()  # first, so that a client that has its response finds the request in the metrics
        await self.send(message)

    def record(self) -> None:
        if self.is_recorded:
            return
        self.is_recorded = True
        request, metrics = self.request, self.request.services.metrics
        seconds = time.monotonic() - request.started_s
        if request.received_bytes:
            metrics.received(request.received_bytes)
        metrics.answered(request.route, self.status, seconds)
        client = self.scope.get("client")
        logs.log_request(
            method=self.scope["method"],
            route=request.route,
            model=request.model,
            status=self.status,
            seconds=seconds,
            received_bytes=request.received_bytes,
            client=client[0] if client else "",
        )


def make_app(services: Services) -> Application:
    """The application that serves all protocols.

    Every error becomes a response in the format of `pictag.server.http_errors.describe_error`.
    """
    routes = [
        Route(path, _Endpoint(handler, is_open, path), methods=list(methods))
        for path, methods, handler, is_open in TABLE
    ]
    # The first route takes POST only and gets most requests.
    routes = [routes[0], *page.routes(services.settings), *routes[1:]]
    routes += [Route(path, _NotOffered(what)) for path, what in oip.NOT_OFFERED]
    router = Router(routes, models=frozenset(services.registry.names()))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request = Request(scope, receive, services=services, headers=headers, request_id=_choose_id(headers))
        logs.request_id.set(request.id)
        scope[_REQUEST] = request
        sender = _Sender(send, request, scope)
        try:
            if scope["path"] == "*" and scope["method"] == "OPTIONS":
                await Response(headers={"Allow": _ALL_METHODS})(scope, receive, sender)
            else:
                await router.find(scope).app(scope, receive, sender)
        except ClientLeft:
            sender.status = _CLIENT_LEFT
        except asyncio.CancelledError:
            if request.client_left:
                sender.status = _CLIENT_LEFT
            elif services.is_stopping and not sender.status:
                response = _render_error(_explain_stop(request), request, scope)
                await response(scope, receive, sender)
            else:
                raise
        except Exception as error:  # the outermost handler: logged, and described to the client
            if sender.status:
                raise
            await _render_error(error, request, scope)(scope, receive, sender)
        finally:
            request.close()
            sender.record()

    return app


def _render_error(error: Exception, request: Request, scope: Scope) -> Response:
    request.stop_watching()
    if isinstance(error, ModelNotServed) and not _has_key(request):
        # Only clients with the key may see which models there are.
        name = request.path_params.get("model", "")
        if name not in request.services.registry.names():
            error = ModelNotServed(f"There is no model {shorten(repr(name), 100)}.")
    return error_response(error, request_id=request.id, v2=scope["path"].startswith("/v2"))


def _explain_stop(request: Request) -> HTTPError:
    """The error for a request that is cut off because the server's time to stop is over."""
    if not request.is_read:
        return BodyTimeout("The server is stopping, and the body was not complete.")
    return stopping_error()


def _choose_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id if it is safe in logs and headers, otherwise a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _VALID_ID.fullmatch(given):
        return given.decode()
    return secrets.token_hex(8)


def _has_key(request: Request) -> bool:
    """Whether the request has the server's key, or the server has none."""
    key = request.services.settings.api_key
    if key is None:
        return True
    scheme, _, credential = request.headers.get(b"authorization", b"").partition(b" ")
    bearer = credential.strip() if scheme.lower() == b"bearer" else b""
    expected = key.get_secret_value().encode()
    # Both are always compared, in constant time.
    return hmac.compare_digest(bearer, expected) | hmac.compare_digest(
        request.headers.get(b"x-api-key", b""), expected
    )
