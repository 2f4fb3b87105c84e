"""The static files of the page and their headers."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterator, Mapping
from importlib.resources import files

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pictag.server.configuration import read_configuration
from pictag.server.web_page import make_routes

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
NAMES = sorted(path.name for path in files("pictag.server").joinpath("page").iterdir())


async def answer_others(_: Request) -> PlainTextResponse:
    return PlainTextResponse("for programs")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server with the page in front of another route for /, as in the application."""
    settings = read_configuration({"max_body_bytes": 12345, "default_top_k": 7}, {}).settings
    app = Starlette(routes=[*make_routes(settings), Route("/", answer_others, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    for _ in range(500):
        if server.started:
            break
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def ask(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=dict(headers or {}))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_only_clients_that_accept_html_get_the_page(port: int) -> None:
    assert b"<!doctype html>" in ask(port, "/", {"Accept": BROWSER})[2]
    for accept in ("*/*", "application/json"):
        assert ask(port, "/", {"Accept": accept})[2] == b"for programs"
    assert ask(port, "/", {"Accept": BROWSER}, method="POST")[2] == b"for programs"
    status, headers, body = ask(port, "/", {"Accept": BROWSER}, method="HEAD")
    assert (status, body, headers["Vary"]) == (200, b"", "Accept")


def test_the_page_contains_the_limits_of_its_server(port: int) -> None:
    page = ask(port, "/", {"Accept": BROWSER})[2]
    assert b'data-max-body-bytes="12345"' in page
    assert b'id="top-k" min="1" max="1000000" step="1" value="7"' in page
    assert not re.search(rb"\{\w+\}", page), "no placeholder is left"


@pytest.mark.parametrize("name", [n for n in NAMES if n != "index.html"])
def test_each_file_has_its_media_type_and_etag(port: int, name: str) -> None:
    status, headers, body = ask(port, f"/page/{name}")
    assert status == 200
    assert body == (files("pictag.server").joinpath("page") / name).read_bytes()
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert headers["Content-Type"].startswith(types[name.rsplit(".", 1)[1]])
    assert headers["X-Content-Type-Options"] == "nosniff"
    again = ask(port, f"/page/{name}", {"If-None-Match": headers["ETag"]})
    assert (again[0], again[2]) == (304, b"")


def test_the_security_headers_forbid_what_the_page_does_not_need(port: int) -> None:
    headers = ask(port, "/", {"Accept": BROWSER})[1]
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["img-src"] == "'self' blob:"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"


def test_only_the_files_of_the_page_are_served(port: int) -> None:
    for path in (
        "/page/",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/nothing.js",
    ):
        assert ask(port, path)[0] == 404


def test_no_file_of_the_page_names_another_host() -> None:
    for name in NAMES:
        text = (files("pictag.server").joinpath("page") / name).read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert "innerHTML" not in text, name


def test_without_the_setting_there_is_no_page() -> None:
    assert make_routes(read_configuration({"page": False}, {}).settings) == []
