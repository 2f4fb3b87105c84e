from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveserver import ask, run_process, wait_until
from pictag.errors import PictagWarning
from pictag.server import logs
from pictag.server.logs import (
    LogFormatter,
    configure_logging,
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
def _restore_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("pictag", "uvicorn", "asyncio", "pictag.server.requests")]
    before = [(log, log.handlers, log.propagate, log.level, log.disabled) for log in loggers]
    yield
    for log, handlers, propagate, level, disabled in before:
        log.handlers, log.propagate, log.disabled = handlers, propagate, disabled
        log.setLevel(level)


def record(form: str, message: str, *arguments: object, error: Exception | None = None) -> str:
    """A message as it appears in the log."""
    formatter = LogFormatter(as_json=form == "json", key=KEY)
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
def test_every_message_is_one_line_of_printable_characters(form: str, text: str) -> None:
    shown = record(form, "%s", text)
    assert shown.endswith("\n")
    line = shown[:-1]
    assert line.isprintable(), repr(line)
    if form == "json":
        assert line.isascii()
        assert json.loads(line)["message"] == redact(text, KEY)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_cannot_forge_log_lines(form: str) -> None:
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


def test_request_lines_can_be_turned_off() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(log_requests=False, log_format="text"), stream)
    log_request(
        method="GET", route="/", model="", status=200, seconds=0, received_bytes=0, client=""
    )  # fmt: skip
    logging.getLogger("pictag.server").info("serving")
    assert stream.getvalue().endswith("info    serving\n")
    assert stream.getvalue().count("\n") == 1


def test_the_log_is_json_unless_it_goes_to_a_terminal() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(), stream)
    logging.getLogger("uvicorn.error").warning("odd")
    assert json.loads(stream.getvalue())["message"] == "odd"


def test_every_request_is_logged_with_its_id_and_without_secrets(tmp_path: Path) -> None:
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


def test_a_closed_log_does_not_stop_the_server() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(log_format="json"), stream)
    stream.close()
    logging.getLogger("pictag.server").info("serving")


def test_what_pictag_had_to_assume_is_a_line_of_the_log() -> None:
    stream = io.StringIO()
    configure_logging(ServerSettings(log_format="json"), stream)
    for _ in range(2):
        warnings.warn("A single-channel image was stretched.", PictagWarning, stacklevel=1)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "PictagWarning: A single-channel image was stretched."
