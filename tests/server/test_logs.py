from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveserver import ask, run_process, wait_until
from pictag.server import logs
from pictag.server.logs import (
    JsonFormatter,
    TextFormatter,
    configure_logging,
    escape,
    log_request,
    redact,
)
from pictag.server.settings import ServerSettings
from tinymodel import make_image

KEY = "open-sesame-17"
SECRET = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789-._~", min_size=8, max_size=30).filter(
    lambda text: "secret" not in text
)
ANYTHING = st.text(max_size=40)


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("pictag", "uvicorn", "asyncio", "pictag.server.requests")]
    before = [(log, log.handlers, log.propagate, log.level, log.disabled) for log in loggers]
    yield
    for log, handlers, propagate, level, disabled in before:
        log.handlers, log.propagate, log.disabled = handlers, propagate, disabled
        log.setLevel(level)


def record(form: str, message: str, *arguments: object, error: Exception | None = None) -> str:
    """What a log in this form shows of a message."""
    formatter = (JsonFormatter if form == "json" else TextFormatter)(KEY)
    trace = (type(error), error, error.__traceback__) if error is not None else None
    line = logging.LogRecord("pictag.server", logging.WARNING, "", 0, message, arguments, trace)
    return formatter.format(line) + "\n"


@pytest.mark.parametrize("form", ["json", "text"])
@settings(max_examples=40)
@given(secret=SECRET, before=ANYTHING, after=ANYTHING)
def test_no_secret_is_logged(form: str, secret: str, before: str, after: str) -> None:
    secret = f"secret{secret}"
    for text in (
        f"https://user:{secret}@host/image.jpg",
        f"https://{secret}@host",
        f"https://host/image.jpg?signature={secret}&x=1",
        f"http://host/a#{secret}",
        f"Authorization: Bearer {secret}",
        f"authorization: Basic {secret}",
        f"{{'X-Api-Key': '{secret}'}}",
        f"Cookie: session={secret}",
        f"hf_{secret.translate(str.maketrans('', '', '-._~'))}",
    ):
        shown = record(form, "%s\n%s\n%s", before, text, after)
        assert secret not in shown, text
        assert "secret" not in shown.partition("://host")[0].replace(before, ""), text
    assert KEY not in record(form, "%s%s%s", before, KEY, after)


@pytest.mark.parametrize("form", ["json", "text"])
@settings(max_examples=40)
@given(text=st.text(max_size=200))
def test_whatever_is_logged_is_one_line_of_printable_characters(form: str, text: str) -> None:
    shown = record(form, "%s", text)
    assert shown.endswith("\n")
    line = shown[:-1]
    assert line.isprintable(), repr(line)
    if form == "json":
        assert line.isascii()
        assert json.loads(line)["message"] == redact(text, KEY)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_forges_no_line(form: str) -> None:
    try:
        raise ValueError("one\n2026-11-22T00:00:00.000Z info    forged\x1b[31m https://me:password@host/")
    except ValueError as error:
        shown = record(form, "request failed", error=error)
    lines = shown.splitlines()
    if form == "json":
        assert len(lines) == 1
        assert "ValueError: one" in json.loads(lines[0])["traceback"]
    else:
        assert all(line.startswith("  | ") for line in lines[1:])
    assert "\x1b" not in shown
    assert "password" not in shown


def test_a_request_is_one_line_with_its_id() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(log_format="json"), stream)
    token = logs.request_id.set("r1")
    log_request(
        method="POST", route="/models/{model:path}", model="a/b", status=200,
        seconds=0.0123, received_bytes=5, client="127.0.0.1",
    )  # fmt: skip
    logs.request_id.reset(token)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "message": "request", "request_id": "r1", "method": "POST", "status": 200,
        "route": "/models/{model:path}", "model": "a/b", "ms": 12.3, "bytes": 5, "client": "127.0.0.1",
    }  # fmt: skip


def test_lines_for_requests_may_be_left_out() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(log_requests=False, log_format="text"), stream)
    log_request(
        method="GET", route="/", model="", status=200, seconds=0, received_bytes=0, client=""
    )  # fmt: skip
    logging.getLogger("pictag.server").info("serving")
    assert stream.getvalue().endswith("info    serving\n")
    assert stream.getvalue().count("\n") == 1


def test_a_pipe_gets_json_by_itself() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(), stream)
    logging.getLogger("uvicorn.error").warning("odd")
    assert json.loads(stream.getvalue())["message"] == "odd"


def test_escaping_leaves_what_can_be_read() -> None:
    assert escape("été 写真") == "été 写真"
    assert escape("a\x1b[2Jb\u202e\x7f") == "a\\x1b[2Jb\\u202e\\x7f"


def test_a_server_logs_every_request_with_its_id_and_none_of_its_secrets(tmp_path: Path) -> None:
    image = make_image(tmp_path / "p.png").read_bytes()
    environ = {"PICTAG_SERVER_API_KEY": KEY}
    with run_process(tmp_path, "--model", "embedded", **environ) as process:
        port = process.port()
        key = {"Authorization": f"Bearer {KEY}"}
        secret = "hidden-in-the-query"
        ids = []
        for number, (path, body) in enumerate(
            [
                ("/", image),
                (f"/?top_k={secret}", image),
                (f"/{secret}", image),
                (f"/models/{secret}%0a%1b[31m", image),
                (f"/models/embedded?{secret}=1", b"no image"),
                ("/", f'{{"inputs": "https://me:{secret}@host/{secret}?{secret}"}}'.encode()),
            ]
        ):
            ids.append(f"request-{number}")
            ask(port, path, method="POST", body=body, X_Request_Id=ids[-1], Cookie=secret, **key)
        ask(port, "/", method="POST", body=image, Authorization="Bearer hidden-in-the-query")
        wait_until(lambda: process.log.read_text().count('"request"') > len(ids))
        text = process.log.read_text()
        lines = [line for line in process.lines() if line["message"] == "request"]
    assert secret not in text
    assert KEY not in text
    assert [line["request_id"] for line in lines[: len(ids)]] == ids
    assert len(lines) == len(ids) + 1
    assert lines[-1]["status"] == 401
    assert all(line["request_id"] for line in lines)


def test_every_kind_of_secret_is_looked_for() -> None:
    for secret in (
        "https://me:word@host/", "ftp://host/a?sig=1", "Bearer abcdefgh", "basic abcdefgh", "token abcdefgh",
        "Proxy-Authorization: x", "x-api-key=1", "api_key: 1", "apikey=1", "Cookie: a",
        "PASSWORD=1", "hf_abcdefgh",
    ):  # fmt: skip
        assert redact(f"before {secret} after") != f"before {secret} after"


class Writes(io.StringIO):
    """A stream that counts how often it is written to."""

    count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)


def log_one(status: int = 200) -> None:
    log_request(
        method="POST", route="/", model="m", status=status, seconds=0.1, received_bytes=1, client="127.0.0.1"
    )


def test_lines_of_requests_are_written_together_and_soon() -> None:
    stream = Writes()
    configure_logging(ServerSettings(log_format="json"), stream)

    async def serve() -> None:
        for _ in range(100):
            log_one()
        assert stream.count == 0
        until = asyncio.get_running_loop().time() + 10
        while not stream.count:
            assert asyncio.get_running_loop().time() < until
            await asyncio.sleep(0.01)

    asyncio.run(serve())
    assert stream.count == 1
    assert [json.loads(line)["status"] for line in stream.getvalue().splitlines()] == [200] * 100


def test_what_is_no_request_is_written_at_once_and_in_order() -> None:
    stream = Writes()
    configure_logging(ServerSettings(log_format="json"), stream)

    async def serve() -> None:
        log_one(201)
        logging.getLogger("pictag.server").info("stopping")
        log_one(202)

    asyncio.run(serve())
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["request", "stopping"]
    logs.flush()
    assert [json.loads(line).get("status") for line in stream.getvalue().splitlines()] == [201, None, 202]


def test_many_lines_are_not_held_back() -> None:
    stream = Writes()
    configure_logging(ServerSettings(log_format="json"), stream)

    async def serve() -> None:
        for _ in range(600):
            log_one()

    asyncio.run(serve())
    assert stream.count == 2
    assert len(stream.getvalue().splitlines()) == 512
    logs.flush()
    assert len(stream.getvalue().splitlines()) == 600


def test_a_log_that_nobody_reads_any_more_stops_nothing() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(log_format="json"), stream)
    stream.close()
    log_one()
    logs.flush()
