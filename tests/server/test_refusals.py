"""One table of statuses, one body of errors, and nothing in it that is the server's own business."""

from __future__ import annotations

import json
import logging
import re

import pytest

from pictag import errors
from pictag.server import refusals
from pictag.server.refusals import (
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    DeadlinePassed,
    MethodRefused,
    ModelUnknown,
    NotReady,
    Overloaded,
    Refusal,
    RouteUnknown,
    Unauthorized,
    describe_error,
)

TABLE = [
    (BadRequest("x"), 400, 400, "bad_request"),
    (errors.OptionError("x"), 400, 400, "option_error"),
    (Unauthorized("x"), 401, 401, "unauthorized"),
    (ModelUnknown("x"), 404, 404, "model_unknown"),
    (RouteUnknown("x"), 404, 404, "route_unknown"),
    (MethodRefused("x", allowed=("POST",)), 405, 405, "method_refused"),
    (BodyTooSlow("x"), 408, 408, "body_too_slow"),
    (BodyTooLarge("x"), 413, 413, "body_too_large"),
    (errors.NotAnImage("x"), 415, 400, "not_an_image"),
    (errors.FormatRefused("x"), 415, 400, "format_refused"),
    (errors.CorruptImage("x"), 422, 400, "corrupt_image"),
    (errors.ImageTooLarge("x"), 422, 400, "image_too_large"),
    (errors.FetchTimeout("x"), 422, 400, "fetch_timeout"),
    (errors.AddressRefused("x"), 400, 400, "address_refused"),
    (Overloaded(1.5), 429, 429, "overloaded"),
    (NotReady("x"), 503, 400, "not_ready"),
    (DeadlinePassed("x"), 504, 504, "deadline_passed"),
]
REFUSALS = [c for c in vars(refusals).values() if isinstance(c, type) and issubclass(c, Refusal)]


@pytest.mark.parametrize(("error", "status", "v2_status", "kind"), TABLE, ids=lambda value: str(value)[:20])
def test_each_error_has_its_status_and_one_body(
    error: errors.PictagError, status: int, v2_status: int, kind: str
) -> None:
    for v2, expected in ((False, status), (True, v2_status)):
        reply = describe_error(error, request_id="r-1", v2=v2)
        assert reply.status == expected
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["X-Request-Id"] == "r-1"
        body = json.loads(reply.body)
        assert body == {
            "error": str(error),
            "message": str(error),
            "code": expected,
            "type": kind,
            "request_id": "r-1",
        }


@pytest.mark.parametrize("error", REFUSALS, ids=lambda c: c.__name__)
def test_the_drawing_shows_every_refusal_with_its_built_in_kind(error: type[Refusal]) -> None:
    assert refusals.__doc__
    match = re.search(rf"\b{error.__name__}\b(?: \((\w+)\))?", refusals.__doc__)
    assert match, f"{error.__name__} is not in the drawing"
    if match[1]:
        assert issubclass(error, __builtins__[match[1]])  # type: ignore[index]


def test_overload_says_when_to_come_again_in_whole_seconds() -> None:
    for seconds, expected in ((0.0, "1"), (0.2, "1"), (2.0, "2"), (2.01, "3")):
        assert describe_error(Overloaded(seconds), request_id="r").headers["Retry-After"] == expected
    assert "Try again in 3 seconds." in str(Overloaded(2.5))


def test_headers_say_what_a_client_can_do() -> None:
    assert describe_error(Unauthorized("no"), request_id="r").headers["WWW-Authenticate"] == "Bearer"
    refused = MethodRefused("no", allowed=("GET", "HEAD"))
    assert describe_error(refused, request_id="r").headers["Allow"] == "GET, HEAD"
    for unread in (BodyTooLarge("no"), BodyTooSlow("no")):
        assert describe_error(unread, request_id="r").headers["Connection"] == "close"


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("/srv/secret"),
        errors.EngineError("/srv/secret"),
        errors.ModelNotFound("/srv/secret"),
        errors.PipelineClosed("/srv/secret"),
        errors.MissingExtra("/srv/secret"),
    ],
)
def test_what_went_wrong_in_the_server_is_said_in_its_log_alone(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="pictag.server"):
        reply = describe_error(error, request_id="r-7")
    assert reply.status == 500
    assert b"secret" not in reply.body
    assert b"log" in reply.body
    assert "r-7" in caplog.text
    assert "/srv/secret" in caplog.text


def test_a_defect_is_called_internal_and_an_error_of_ours_by_its_name() -> None:
    assert json.loads(describe_error(KeyError("x"), request_id="r").body)["type"] == "internal"
    assert json.loads(describe_error(errors.EngineError("x"), request_id="r").body)["type"] == "engine_error"


def test_every_error_of_pictag_has_an_answer() -> None:
    kinds = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.PictagError)]
    for kind in kinds:
        for v2 in (False, True):
            assert describe_error(kind("x"), request_id="r", v2=v2).status in (400, 413, 415, 422, 500)


def test_overload_is_never_503() -> None:
    assert [row[1:] for row in refusals.STATUSES if row[0] is Overloaded] == [(429, 429)]
