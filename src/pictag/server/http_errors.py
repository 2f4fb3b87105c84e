"""The errors a client can receive, and the HTTP status and body of each.

    PictagError
    └── HTTPError                            the request was not answered with labels
        ├── BadRequest (ValueError)          an invalid parameter, header or body
        ├── Unauthorized (PermissionError)   the API key is missing or wrong
        ├── RouteNotFound (LookupError)      no such path
        ├── MethodNotAllowed                 the path takes other methods
        ├── ModelNotServed (LookupError)     this server has no model of that name
        ├── HeadersTooLarge                  the request line or the headers exceed the limit
        ├── HeadersTimeout (TimeoutError)    the headers did not arrive in time
        ├── BodyTimeout (TimeoutError)       the body did not arrive in time
        ├── BodyTooLarge                     the body exceeds the limit
        ├── Overloaded                       more work than can be finished in time
        └── NotReady                         a model is not loaded yet, or the server is stopping

`STATUSES` maps every error of pictag to a status. Anything it doesn't list is a 500 whose details are only
logged.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import re
from typing import Any

from starlette.responses import Response

from pictag import errors
from pictag.errors import PictagError

_log = logging.getLogger("pictag.server")


class HTTPError(PictagError):
    """The request was not answered with labels."""


class BadRequest(HTTPError, ValueError):
    """A parameter, a header or the body is invalid."""


class Unauthorized(HTTPError, PermissionError):
    """The API key is missing or wrong."""


class RouteNotFound(HTTPError, LookupError):
    """There is no such path."""


class MethodNotAllowed(HTTPError):
    """The path doesn't take this method; ``allowed`` lists those it takes."""

    def __init__(self, message: str, *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class ModelNotServed(HTTPError, LookupError):
    """This server has no model of that name."""


class HeadersTooLarge(HTTPError):
    """The request line or the headers exceed the limit."""


class HeadersTimeout(HTTPError, TimeoutError):
    """The headers did not arrive in time."""


class BodyTimeout(HTTPError, TimeoutError):
    """The body did not arrive in time."""


class BodyTooLarge(HTTPError):
    """The body exceeds the limit."""

    @classmethod
    def above(cls, max_bytes: int) -> BodyTooLarge:
        """The error for a body of more than ``max_bytes``."""
        return cls(f"The body exceeds the limit of {max_bytes:,} bytes.")


class Overloaded(HTTPError):
    """More work than can be finished in time.

    ``retry_after_s`` says when there should be room again; ``reason`` is the limit that was reached, as one
    word for the metrics.
    """

    def __init__(
        self, retry_after_s: float, why: str = "The server is overloaded.", *, reason: str = "load"
    ) -> None:
        seconds = _whole_seconds(retry_after_s)
        super().__init__(f"{why} Try again in {seconds} second{'s' if seconds > 1 else ''}.")
        self.retry_after_s = retry_after_s
        self.reason = reason


def stopping_error() -> Overloaded:
    """The error for new and waiting requests while the server stops: another server may take over soon."""
    return Overloaded(5, "The server is stopping.", reason="stopping")


class NotReady(HTTPError):
    """A model is not loaded yet, or the server is stopping."""


# Error, status, and status on the routes of the Open Inference Protocol (/v2), whose clients expect 400 for
# any bad input. The first matching row counts. Overload is not 503, which some clients retry without a pause.
STATUSES: tuple[tuple[type[PictagError], int, int], ...] = (
    (Unauthorized, 401, 401),
    (RouteNotFound, 404, 404),
    (ModelNotServed, 404, 404),
    (MethodNotAllowed, 405, 405),
    (HeadersTooLarge, 431, 431),
    (HeadersTimeout, 408, 408),
    (BodyTimeout, 408, 408),
    (BodyTooLarge, 413, 413),
    (Overloaded, 429, 429),
    (NotReady, 503, 400),
    (HTTPError, 400, 400),
    (errors.DeadlineExceeded, 504, 504),
    (errors.NotAnImage, 415, 400),
    (errors.FormatRefused, 415, 400),
    (errors.UnsupportedInput, 415, 400),
    (errors.FetchTooLarge, 413, 400),
    (errors.AddressRefused, 400, 400),
    (errors.InputError, 422, 400),
    (errors.OptionError, 400, 400),
)
# Clients don't see the server's paths and model folders.
_PUBLIC_MESSAGES: tuple[tuple[type[PictagError], str], ...] = (
    (errors.ModelError, "The model can't be loaded. The server's log has the reason."),
    (errors.EngineError, "The model failed on this image. The server's log has the reason."),
    (PictagError, "The server can't do this. Its log has the reason."),
)
_INTERNAL = "Internal server error. The server's log has the details."


def json_response(value: Any) -> Response:
    """A JSON response; ``value`` must not contain NaN or infinity, which JSON doesn't have."""
    # Not Starlette's JSONResponse: its UTF-8 can't hold the lone surrogates that a label may contain.
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Response(text, media_type="application/json")


def describe_error(error: Exception, *, request_id: str, v2: bool = False) -> dict[str, Any]:
    """The JSON body for a request that failed; ``v2`` on routes of the Open Inference Protocol.

    Mistakes of the client are explained. Failures of the server are logged under the request's id, and the
    client gets a general message.

    >>> body = describe_error(Overloaded(2.2), request_id="r1")
    >>> body["code"], body["type"], body["message"]
    (429, 'overloaded', 'The server is overloaded. Try again in 3 seconds.')
    """
    row = _find_row(type(error))  # type: ignore[arg-type]  # mypy takes classes for unhashable
    if row is not None:
        status = row[2] if v2 else row[1]
        message = str(error) or type(error).__doc__ or ""
    else:
        status = 500
        message = next((text for kind, text in _PUBLIC_MESSAGES if isinstance(error, kind)), _INTERNAL)
        _log.error("request %s failed: %s", request_id, errors.shorten(error), exc_info=error)
    kind = _snake_case(type(error).__name__) if isinstance(error, PictagError) else "internal"
    return {"error": message, "message": message, "code": status, "type": kind, "request_id": request_id}


def error_response(error: Exception, *, request_id: str, v2: bool = False) -> Response:
    """The response to a request that failed with ``error``, see `describe_error`.

    >>> error_response(Overloaded(2.2), request_id="r1").headers["Retry-After"]
    '3'
    """
    body = describe_error(error, request_id=request_id, v2=v2)
    response = json_response(body)
    response.status_code = body["code"]
    if isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(_whole_seconds(error.retry_after_s))
    elif isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, MethodNotAllowed) and error.allowed:
        response.headers["Allow"] = ", ".join(error.allowed)
    return response


@functools.cache
def _find_row(kind: type[Exception]) -> tuple[type[PictagError], int, int] | None:
    return next((row for row in STATUSES if issubclass(kind, row[0])), None)


def _whole_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
