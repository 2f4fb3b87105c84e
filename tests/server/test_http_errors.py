"""Every error has a status and a body, which contains no internals of the server."""

from __future__ import annotations

import json
import logging
import re

import pytest

from pictag import errors
from pictag.server import http_errors
from pictag.server.http_errors import (
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    HTTPError,
    MethodNotAllowed,
    ModelNotServed,
    NotReady,
    Overloaded,
    RouteNotFound,
    Unauthorized,
    error_response,
)

TABLE = [
    (BadRequest("x"), 400, 400, "bad_request"),
    (errors.OptionError("x"), 400, 400, "option_error"),
    (Unauthorized("x"), 401, 401, "unauthorized"),
    (ModelNotServed("x"), 404, 404, "model_not_served"),
    (RouteNotFound("x"), 404, 404, "route_not_found"),
    (MethodNotAllowed("x", allowed=("POST",)), 405, 405, "method_not_allowed"),
    (BodyTimeout("x"), 408, 408, "body_timeout"),
    (BodyTooLarge("x"), 413, 413, "body_too_large"),
    (errors.NotAnImage("x"), 415, 400, "not_an_image"),
    (errors.FormatRefused("x"), 415, 400, "format_refused"),
    (errors.CorruptImage("x"), 422, 400, "corrupt_image"),
    (errors.ImageTooLarge("x"), 422, 400, "image_too_large"),
    (errors.FetchTimeout("x"), 422, 400, "fetch_timeout"),
    (errors.AddressRefused("x"), 400, 400, "address_refused"),
    (Overloaded(1.5), 429, 429, "overloaded"),
    (NotReady("x"), 503, 400, "not_ready"),
    (errors.DeadlineExceeded("x"), 504, 504, "deadline_exceeded"),
]
HTTP_ERRORS = [c for c in vars(http_errors).values() if isinstance(c, type) and issubclass(c, HTTPError)]


@pytest.mark.parametrize(("error", "status", "v2_status", "kind"), TABLE, ids=lambda value: str(value)[:20])
def test_each_error_has_its_status_and_body(
    error: errors.PictagError, status: int, v2_status: int, kind: str
) -> None:
    for v2, expected in ((False, status), (True, v2_status)):
        response = error_response(error, request_id="r-1", v2=v2)
        assert response.status_code == expected
        assert response.headers["Content-Type"] == "application/json"
        assert json.loads(bytes(response.body)) == {
            "error": str(error),
            "message": str(error),
            "code": expected,
            "type": kind,
            "request_id": "r-1",
        }


@pytest.mark.parametrize("error", HTTP_ERRORS, ids=lambda c: c.__name__)
def test_the_tree_in_the_docstring_shows_every_error(error: type[HTTPError]) -> None:
    assert http_errors.__doc__
    match = re.search(rf"\b{error.__name__}\b(?: \((\w+)\))?", http_errors.__doc__)
    assert match, f"{error.__name__} is missing"
    if match[1]:
        assert issubclass(error, __builtins__[match[1]])  # type: ignore[index]


def test_overload_and_wrong_methods_tell_the_client_what_to_do() -> None:
    for seconds, expected in ((0.0, "1"), (0.2, "1"), (2.0, "2"), (2.01, "3")):
        assert error_response(Overloaded(seconds), request_id="r").headers["Retry-After"] == expected
    assert "Try again in 3 seconds." in str(Overloaded(2.5))
    error = MethodNotAllowed("no", allowed=("GET", "HEAD"))
    assert error_response(error, request_id="r").headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ZeroDivisionError("/srv/secret"), "internal"),
        (errors.EngineError("/srv/secret"), "engine_error"),
        (errors.ModelNotFound("/srv/secret"), "model_not_found"),
        (errors.PipelineClosed("/srv/secret"), "pipeline_closed"),
        (errors.MissingExtra("/srv/secret"), "missing_extra"),
    ],
)
def test_the_details_of_an_internal_error_are_only_logged(
    error: Exception, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="pictag.server"):
        response = error_response(error, request_id="r-7")
    assert response.status_code == 500
    assert json.loads(bytes(response.body))["type"] == kind
    assert b"secret" not in bytes(response.body)
    assert "r-7" in caplog.text
    assert "/srv/secret" in caplog.text


def test_every_error_of_pictag_has_a_status() -> None:
    kinds = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.PictagError)]
    for kind in kinds:
        for v2 in (False, True):
            response = error_response(kind("x"), request_id="r", v2=v2)
            assert response.status_code in (400, 413, 415, 422, 500, 504)
