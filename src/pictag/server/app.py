"""The ASGI application: addresses to protocols, and round them ids, the key, and one form of error."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from pictag.errors import shorten
from pictag.server import logs, page
from pictag.server.exchange import ClientLeft, Exchange
from pictag.server.protocols import huggingface, information, oip, torchserve
from pictag.server.refusals import (
    BodyTooSlow,
    ModelUnknown,
    Refusal,
    Reply,
    RouteUnknown,
    Unauthorized,
    describe_error,
    refuse_while_stopping,
)
from pictag.server.routing import Routes
from pictag.server.services import Readiness, Services

__all__ = ["Readiness", "Services", "make_app"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Exchange], Awaitable[Reply]]

_CALL = "pictag.call"
_SANE_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")
_SENDERS_OWN = ("X-Request-Id", "Connection")
_CLIENT_LEFT = 499  # for log and metrics alone: there is nobody to tell
_GET, _POST = ("GET",), ("POST",)

# In the order in which they are tried. What is open needs no key.
TABLE: Sequence[tuple[str, Sequence[str], Handler, bool]] = (
    ("/", _POST, huggingface.classify, False),
    ("/", _GET, information.describe_server, False),
    ("/v2/health/live", _GET, oip.say_live, True),
    ("/v2/health/ready", _GET, oip.say_ready, True),
    ("/v2", _GET, oip.describe_server, False),
    ("/v2/repository/index", _POST, oip.list_models, False),
    ("/v2/models/{model:path}/versions/{version}/infer", _POST, oip.infer, False),
    ("/v2/models/{model:path}/infer", _POST, oip.infer, False),
    ("/v2/models/{model:path}/versions/{version}/ready", _GET, oip.say_model_ready, True),
    ("/v2/models/{model:path}/ready", _GET, oip.say_model_ready, True),
    ("/v2/models/{model:path}/versions/{version}/config", _GET, oip.configure_model, False),
    ("/v2/models/{model:path}/config", _GET, oip.configure_model, False),
    ("/v2/models/{model:path}/versions/{version}", _GET, oip.describe_model, False),
    ("/v2/models/{model:path}", _GET, oip.describe_model, False),
    ("/predictions/{model:path}", ("POST", "PUT"), torchserve.predict, False),
    ("/ping", _GET, torchserve.say_healthy, True),
    ("/health", _GET, information.say_healthy, True),
    ("/info", _GET, information.describe_server, False),
    ("/metrics", _GET, information.show_metrics, False),
    ("/openapi.json", _GET, information.show_description, True),
    ("/models", _GET, information.list_models, False),
    ("/models/{model:path}/health", _GET, information.say_model_healthy, True),
    ("/models/{model:path}/info", _GET, information.describe_model, False),
    ("/models/{model:path}", _POST, huggingface.classify, False),
)


_METHODS = Reply(
    status=200,
    headers={"Allow": ", ".join(sorted({"HEAD"}.union(*(methods for _, methods, _, _ in TABLE))))},
    body=b"",
)
"""The answer to ``OPTIONS *``: what some address of the server takes."""


@dataclass(slots=True)
class _Endpoint:
    """A handler as Starlette's routes take it."""

    handler: Handler
    is_open: bool
    path: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: Exchange = scope[_CALL]
        call.path_params = scope["path_params"]
        call.route = self.path
        if not self.is_open and not _has_key(call):
            raise Unauthorized(
                "This server needs a key: send it as 'Authorization: Bearer KEY' or as 'X-Api-Key: KEY'."
            )
        reply = await self.handler(call)
        call.stop_watching()
        await _send_reply(reply, send)


@dataclass(slots=True)
class _Absent:
    """An address of others' servers that has no meaning here, said in words rather than as a model's name."""

    what: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RouteUnknown(f"This server does not offer {self.what}.")


class _Sender:
    """Passes an answer on, with the request's id, and notes how it went."""

    __slots__ = ("call", "is_noted", "scope", "send", "status")

    def __init__(self, send: Send, call: Exchange, scope: Scope) -> None:
        self.send = send
        self.call = call
        self.scope = scope
        self.status = 0
        self.is_noted = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"].append((b"x-request-id", self.call.request_id.encode()))
            if not self.call.is_read:
                # What is left of the body would have to be read before the next request.
                message["headers"].append((b"connection", b"close"))
        elif not message.get("more_body", False):
            self.note()  # who has the answer finds the request in the counts
        await self.send(message)

    def note(self) -> None:
        """Count the request and log it, once."""
        if not self.is_noted:
            self.is_noted = True
            _note(self.call, self.scope, self.status)


def make_app(services: Services) -> Application:
    """The application that serves all protocols.

    Whatever goes wrong is answered in the one form of `pictag.server.refusals.describe_error`.
    """
    routes = [
        Route(path, _Endpoint(handler, is_open, path), methods=list(methods))
        for path, methods, handler, is_open in TABLE
    ]
    # The first one takes POST alone, and is what most ask for.
    routes = [routes[0], *page.routes(services.settings), *routes[1:]]
    routes += [Route(path, _Absent(what)) for path, what in oip.NOT_OFFERED]
    router = Routes(routes, models=frozenset(services.registry.names()))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        headers = dict(scope["headers"])
        call = Exchange(scope, receive, services=services, headers=headers, request_id=_choose_id(headers))
        logs.request_id.set(call.request_id)
        scope[_CALL] = call
        sender = _Sender(send, call, scope)
        try:
            if scope["path"] == "*" and scope["method"] == "OPTIONS":
                await _send_reply(_METHODS, sender)
            else:
                await router.find(scope).app(scope, receive, sender)
        except ClientLeft:
            sender.status = _CLIENT_LEFT
        except asyncio.CancelledError:
            if call.client_left:
                sender.status = _CLIENT_LEFT
            elif services.readiness.is_stopping and not sender.status:
                await _send_error(_explain_stop(call), call, scope, sender)
            else:
                raise
        except Exception as error:  # a door: it is logged, and the client is told as much as it may know
            if sender.status:
                raise
            await _send_error(error, call, scope, sender)
        finally:
            call.close()
            sender.note()

    return app


def _note(call: Exchange, scope: Scope, status: int) -> None:
    """Count a request that is done, and log it."""
    seconds = time.monotonic() - call.started_s
    metrics = call.services.metrics
    if call.received_bytes:
        metrics.received(call.received_bytes)
    metrics.answered(call.route, status, seconds)
    client = scope.get("client")
    logs.log_request(
        method=scope["method"],
        route=call.route,
        model=call.model,
        status=status,
        seconds=seconds,
        received_bytes=call.received_bytes,
        client=client[0] if client else "",
    )


async def _live(receive: Receive, send: Send) -> None:
    """There is nothing to do when the server starts or stops: who made the services closes them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _send_error(error: Exception, call: Exchange, scope: Scope, send: Send) -> None:
    call.stop_watching()
    if isinstance(error, ModelUnknown) and not _has_key(call):
        error = _keep_names(error, call)
    v2 = scope["path"].startswith("/v2")
    await _send_reply(describe_error(error, request_id=call.request_id, v2=v2), send)


def _explain_stop(call: Exchange) -> Refusal:
    """What is said to one who is cut off, since the time to stop in is over."""
    if not call.is_read:
        return BodyTooSlow("The server is stopping, and the body was not complete.")
    return refuse_while_stopping()


def _keep_names(error: ModelUnknown, call: Exchange) -> ModelUnknown:
    """Which models there are is for those alone who have the key."""
    name = call.path_params.get("model", "")
    if name in call.services.registry.names():
        return error  # of a version that it has not
    return ModelUnknown(f"There is no model {shorten(repr(name), 100)}.")


async def _send_reply(reply: Reply, send: Send) -> None:
    headers = [
        (name.encode(), value.encode("latin-1"))
        for name, value in reply.headers.items()
        if name not in _SENDERS_OWN
    ]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _choose_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id, where it is one that no log or header trips over; otherwise a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _SANE_ID.fullmatch(given):
        return given.decode()
    return secrets.token_hex(8)


def _has_key(call: Exchange) -> bool:
    """Whether the request has the server's key, or needs none because there is none."""
    key = call.services.settings.api_key
    if key is None:
        return True
    scheme, _, credential = call.headers.get(b"authorization", b"").partition(b" ")
    bearer = credential.strip() if scheme.lower() == b"bearer" else b""
    right = key.get_secret_value().encode()
    # Both are compared, whichever was given, in the same time.
    return hmac.compare_digest(bearer, right) | hmac.compare_digest(
        call.headers.get(b"x-api-key", b""), right
    )
