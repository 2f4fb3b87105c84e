"""What a server answers when it does not classify: its own errors, and the one table of statuses.

    PictagError
    └── Refusal                     a request was not answered with labels, and why
        ├── BadRequest (ValueError)         its parts or parameters mean nothing
        ├── Unauthorized (PermissionError)  the API key is missing or wrong
        ├── RouteUnknown (LookupError)      there is no such path
        ├── MethodRefused                   the path takes another method
        ├── ModelUnknown (LookupError)      there is no model of that name here
        ├── HeadersTooLarge                 the request line or the headers are larger than the limit
        ├── HeadersTooSlow (TimeoutError)   the headers did not arrive in time
        ├── BodyTooSlow (TimeoutError)      the body did not arrive in time
        ├── BodyTooLarge                    the body is larger than the limit
        ├── Overloaded                      more work waits than can be done in time
        ├── DeadlinePassed (TimeoutError)   the time of the request was over before its turn came
        └── NotReady                        a model is not loaded yet, or the server is stopping

Every error of pictag has its row below, and what has none is a defect: 500, said in the log alone.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pictag import errors
from pictag.errors import PictagError

_log = logging.getLogger("pictag.server")


class Refusal(PictagError):
    """A request was not answered with labels."""


class BadRequest(Refusal, ValueError):
    """The request's parts or parameters mean nothing."""


class Unauthorized(Refusal, PermissionError):
    """The API key is missing or wrong."""


class RouteUnknown(Refusal, LookupError):
    """There is no such path."""


class MethodRefused(Refusal):
    """The path takes another method; ``allowed`` are those that it takes."""

    def __init__(self, message: str, *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class ModelUnknown(Refusal, LookupError):
    """There is no model of that name here."""


class HeadersTooLarge(Refusal):
    """The request line or the headers are larger than the limit."""


class HeadersTooSlow(Refusal, TimeoutError):
    """The headers did not arrive within their time."""


class BodyTooSlow(Refusal, TimeoutError):
    """The body did not arrive within its time."""


class BodyTooLarge(Refusal):
    """The body is larger than the limit."""


class Overloaded(Refusal):
    """More work waits than can be done in time.

    ``retry_after_s`` is when there should be room again, ``reason`` the bound that was met, as one word.
    """

    def __init__(
        self,
        retry_after_s: float,
        why: str = "The server has more work than it can do.",
        *,
        reason: str = "load",
    ) -> None:
        seconds = _whole_seconds(retry_after_s)
        super().__init__(f"{why} Try again in {seconds} second{'s' if seconds > 1 else ''}.")
        self.retry_after_s = retry_after_s
        self.reason = reason


def refuse_while_stopping() -> Overloaded:
    """What is said to those who come, or wait, while the server stops: another may be there soon."""
    return Overloaded(5, "The server is stopping.", reason="stopping")


class DeadlinePassed(Refusal, TimeoutError):
    """The time of the request was over before its turn came."""


class NotReady(Refusal):
    """A model is not loaded yet, or the server is stopping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it goes on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# The status of each error, and that on the routes of the Open Inference Protocol (/v2), whose clients expect
# 400 for whatever is wrong with an input. The first row that fits counts. Overload is never 503: there are
# clients that answer a 503 by trying again at once, without end.
STATUSES: tuple[tuple[type[PictagError], int, int], ...] = (
    (Unauthorized, 401, 401),
    (RouteUnknown, 404, 404),
    (ModelUnknown, 404, 404),
    (MethodRefused, 405, 405),
    (HeadersTooLarge, 431, 431),
    (HeadersTooSlow, 408, 408),
    (BodyTooSlow, 408, 408),
    (BodyTooLarge, 413, 413),
    (Overloaded, 429, 429),
    (NotReady, 503, 400),
    (DeadlinePassed, 504, 504),
    (Refusal, 400, 400),
    (errors.NotAnImage, 415, 400),
    (errors.FormatRefused, 415, 400),
    (errors.UnsupportedInput, 415, 400),
    (errors.FetchTooLarge, 413, 400),
    (errors.AddressRefused, 400, 400),
    (errors.InputError, 422, 400),
    (errors.OptionError, 400, 400),
)
# On a server that classifies for others, files and model folders are nobody's business but its keeper's.
_KEPT_BACK: tuple[tuple[type[PictagError], str], ...] = (
    (errors.ModelError, "The model cannot be loaded now; the server's log says why."),
    (errors.EngineError, "The model failed on this image; the server's log says why."),
    (PictagError, "The server cannot do this; its log says why."),
)
_DEFECT = "The server failed, and its log says why."


def describe_error(error: Exception, *, request_id: str, v2: bool = False) -> Reply:
    """The answer to a request that ended in ``error``; ``v2`` on the Open Inference Protocol's routes.

    What clients did is said to them. What went wrong in the server goes into its log, under the request's
    id, and the client hears no more than that.

    >>> reply = describe_error(Overloaded(2.2), request_id="r1")
    >>> reply.status, reply.headers["Retry-After"]
    (429, '3')
    >>> json.loads(reply.body)["type"]
    'overloaded'
    """
    row = _find_row(type(error))  # type: ignore[arg-type]  # mypy takes classes for unhashable
    headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
    if row is not None:
        status = row[2] if v2 else row[1]
        message = str(error) or type(error).__doc__ or ""
    else:
        status = 500
        message = next((text for kind, text in _KEPT_BACK if isinstance(error, kind)), _DEFECT)
        _log.error("request %s failed: %s", request_id, errors.shorten(error), exc_info=error)
    is_ours = isinstance(error, PictagError)
    kind = _name_in_words(type(error)) if is_ours else "internal"  # type: ignore[arg-type]
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(_whole_seconds(error.retry_after_s))
    elif isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, MethodRefused) and error.allowed:
        headers["Allow"] = ", ".join(error.allowed)
    if status in (408, 413):  # what is left of the body is not read
        headers["Connection"] = "close"
    fields = {"error": message, "message": message, "code": status, "type": kind, "request_id": request_id}
    return Reply(status=status, headers=headers, body=json.dumps(fields).encode())


@functools.cache
def _find_row(kind: type[Exception]) -> tuple[type[PictagError], int, int] | None:
    return next((row for row in STATUSES if issubclass(kind, row[0])), None)


def _whole_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))


@functools.cache
def _name_in_words(kind: type[PictagError]) -> str:
    """``NotAnImage`` → ``not_an_image``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
