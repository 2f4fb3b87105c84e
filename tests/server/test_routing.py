"""An address leads to one route, whatever models are called."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import Route

from pictag.server.refusals import MethodRefused, RouteUnknown
from pictag.server.routing import Routes


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nothing is run here")


ROUTES = Routes(
    [
        Route("/", _answer, methods=["POST"], name="classify"),
        Route("/", _answer, methods=["GET"], name="describe"),
        Route("/{model:path}/run", _answer, methods=["POST"], name="run"),
        Route("/{model:path}", _answer, methods=["GET"], name="show"),
        Route("/{other:path}/stats", _answer, methods=["GET"], name="absent"),
    ],
    models={"a", "b/run", "b/stats"},
)


def find(method: str, path: str) -> tuple[str, str | None]:
    scope = {"type": "http", "method": method, "path": path}
    return ROUTES.find(scope).name, scope["path_params"].get("model")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/", ("classify", None)),
        ("GET", "/", ("describe", None)),
        ("HEAD", "/", ("describe", None)),
        ("GET", "/a", ("show", "a")),
        ("POST", "/a/run", ("run", "a")),
        ("POST", "/x/run", ("run", "x")),  # which says that there is no x
        ("GET", "/b/run", ("show", "b/run")),
        ("POST", "/b/run/run", ("run", "b/run")),
        ("GET", "/b/stats", ("show", "b/stats")),
        ("GET", "/a/stats", ("absent", None)),
        ("GET", "/x", ("show", "x")),
    ],
)
def test_the_route_whose_model_there_is_comes_first(
    method: str, path: str, found: tuple[str, str | None]
) -> None:
    assert find(method, path) == found


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/", ("GET", "HEAD", "POST")), ("GET", "/a/run", ("POST",)), ("POST", "/a", ("GET", "HEAD"))],
)
def test_a_method_that_is_refused_names_those_of_the_first_form(
    method: str, path: str, allowed: tuple[str, ...]
) -> None:
    with pytest.raises(MethodRefused) as caught:
        find(method, path)
    assert caught.value.allowed == allowed


def test_what_no_route_matches_is_unknown() -> None:
    with pytest.raises(RouteUnknown, match="nothing at"):
        find("GET", "nowhere")
