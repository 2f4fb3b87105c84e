"""Requests that would be rejected are rejected before their body arrives, and the connection stays open."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from liveserver import Live, ask, connect, read_answer, run_server, wait_until
from pictag.errors import EngineError
from recording import encode_image, open_recorded, recorder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from pictag.server.served_model import ModelSpec, ServedModel

IMAGE = encode_image(size=(64, 48))
PATHS = ["/", "/models/embedded", "/predictions/embedded", "/v2/models/embedded/infer"]


def open_with(before_run: Callable[[NDArray[np.float32]], None], spec: ModelSpec) -> ServedModel:
    """A model that calls ``before_run`` with the pixel values of each run."""
    served = open_recorded(spec)
    recorder_of(served).before_run = before_run
    return served


@contextlib.contextmanager
def full_server(
    *, max_queue: int = 1, run_s: float = 0.0, **settings: object
) -> Iterator[tuple[Live, threading.Event]]:
    """A server whose only worker is blocked until the event is set, after one run that took ``run_s``."""
    gate = threading.Event()

    def wait(_: NDArray[np.float32]) -> None:
        time.sleep(run_s)
        assert gate.wait(60)

    with (
        run_server(
            models=("embedded",),
            max_queue=max_queue,
            threads=1,
            log_requests=False,
            open_model=partial(open_with, wait),
            **settings,
        ) as live,
        connect(live.port) as first,
    ):
        request = head("/", "X-Request-Timeout-Ms: 60000") + IMAGE
        if run_s:
            gate.set()
            first.sendall(request)
            assert read_answer(first)[0] == 200
            gate.clear()
        first.sendall(request)
        wait_until(lambda: live.services.dispatcher.running == 1)
        try:
            yield live, gate
        finally:
            gate.set()
        assert read_answer(first)[0] == 200


def head(path: str, *more: str, length: int = len(IMAGE)) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {length}", *more]
    if path.startswith("/v2"):
        lines.append("Inference-Header-Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("path", PATHS)
def test_under_overload_a_request_is_rejected_before_its_body_arrives(path: str) -> None:
    with full_server() as (live, gate), connect(live.port) as sock:
        sock.sendall(head(path))
        status, lines, body = read_answer(sock)
        assert (status, body["type"]) == (429, "overloaded")
        assert b"retry-after" in lines
        assert b"connection: close" not in lines
        sock.sendall(IMAGE)  # discarded; the connection can be used again
        gate.set()
        wait_until(lambda: live.services.dispatcher.running == 0)
        sock.sendall(head(path) + IMAGE)
        assert read_answer(sock)[0] == 200


def test_a_client_that_waits_for_100_continue_is_rejected_and_the_connection_closed() -> None:
    with full_server() as (live, _), connect(live.port) as sock:
        sock.sendall(head("/", "Expect: 100-continue"))
        status, lines, _body = read_answer(sock)
        assert status == 429
        assert b"connection: close" in lines
        assert sock.recv(1) == b""


def test_a_body_of_unknown_length_is_read_before_the_request_is_rejected() -> None:
    with full_server() as (live, _), connect(live.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(IMAGE), IMAGE))
        status, lines, _body = read_answer(sock)
        assert status == 429
        assert b"connection: close" not in lines


def test_a_body_that_is_too_large_gets_413_rather_than_429() -> None:
    with full_server() as (live, _), connect(live.port) as sock:
        sock.sendall(head("/", length=10**9))
        assert read_answer(sock)[0] == 413


def test_a_timeout_in_the_body_may_be_longer_than_the_default() -> None:
    """Clients of the Open Inference Protocol send their timeout in the body."""
    request = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "BYTES",
                    "shape": [1],
                    "parameters": {"binary_data_size": len(IMAGE) + 4},
                }
            ],
            "parameters": {"timeout": 60_000_000},
        }
    ).encode()
    body = request + len(IMAGE).to_bytes(4, "little") + IMAGE
    infer = (
        f"POST /v2/models/embedded/infer HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n"
        f"Inference-Header-Content-Length: {len(request)}\r\n\r\n"
    ).encode()
    with (
        full_server(max_queue=10, request_timeout_s=0.2, run_s=0.4) as (live, gate),
        connect(live.port) as sock,
    ):
        sock.sendall(head("/"))
        assert read_answer(sock)[0] == 429
        sock.sendall(IMAGE + infer + body)
        wait_until(lambda: live.services.dispatcher.queued == 1)
        gate.set()
        assert read_answer(sock)[0] == 200


def test_if_the_model_fails_on_one_image_of_a_list_the_others_succeed() -> None:
    green, red = (base64.b64encode(encode_image(colour)).decode() for colour in ((0, 255, 0), (255, 0, 0)))

    def fail_on_green(pixels: NDArray[np.float32]) -> None:
        if (pixels[:, 1].mean((1, 2)) > pixels[:, 0].mean((1, 2))).any():
            raise EngineError("no green")

    opening = partial(open_with, fail_on_green)
    with run_server(models=("embedded",), threads=1, log_requests=False, open_model=opening) as live:
        body = json.dumps({"inputs": [green, *[red] * 7]}).encode()
        status, answer = ask(live.port, "/", method="POST", body=body)
        first, *others = json.loads(answer)
        assert status == 200
        assert first["code"] == 500
        assert all(len(one) == 5 for one in others)
        assert b"pictag_abandoned_total 0.0" in ask(live.port, "/metrics")[1]


def test_a_timeout_while_loading_is_not_reported_as_the_clients_deadline(tmp_path: Path) -> None:
    def give_up(_: ModelSpec) -> ServedModel:
        raise TimeoutError("no response")

    models = (f"m={tmp_path}/none",)
    with run_server(models=models, preload=False, log_requests=False, open_model=give_up) as live:
        assert ask(live.port, "/", method="POST", body=IMAGE)[0] == 500


def test_a_request_for_an_unloaded_model_while_the_server_stops_gets_429() -> None:
    with run_server(models=("embedded",), preload=False, log_requests=False) as live:
        live.services.registry._is_closed = True
        status, body = ask(live.port, "/", method="POST", body=IMAGE)
        live.services.registry._is_closed = False
        assert (status, json.loads(body)["type"]) == (429, "overloaded")
