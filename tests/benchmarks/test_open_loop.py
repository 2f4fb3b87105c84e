"""The load generator counts what a faulty server does."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.load_result import LoadResult, make_load_result
from benchmarks.open_loop import Generator
from benchmarks.serve_plan import Plan, RequestImage, read_plan, write_plan

ANSWER = json.dumps([{"label": "tiger", "score": 0.75}]).encode()
Respond = Callable[[int], bytes]  # a request's id → what is sent; empty closes the connection


def reply(number: int, body: bytes = ANSWER, status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nX-Request-Id: {number}\r\n\r\n"
    return head.encode() + body


@contextlib.contextmanager
def serve(respond: Respond) -> Iterator[int]:
    """Serve the single connection that the plan allows; a closed one is accepted again."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def accept() -> None:
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError, ConnectionError):
                    sock, _ = listener.accept()
                    with sock, sock.makefile("rb") as file:
                        answer_all(sock, file, respond)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            thread.join()


def answer_all(sock: socket.socket, file: io.BufferedReader, respond: Respond) -> None:
    while file.peek(1):
        head = b"".join(iter(file.readline, b"\r\n"))
        file.read(int(re.findall(rb"Content-Length: (\d+)", head)[0]))
        answer = respond(int(re.findall(rb"X-Request-Id: (\d+)", head)[0]))
        if not answer:
            return
        sock.sendall(answer)


def load(tmp_path: Path, respond: Respond) -> LoadResult:
    """The result of 40 requests on one connection."""
    image = tmp_path / "tiger.jpg"
    image.write_bytes(b"image" * 20_000)
    with serve(respond) as port:
        plan = Plan(
            port=port,
            images=(RequestImage(path=str(image), scores={"tiger": 0.75}),),
            count=40,
            connections=1,
            patience_s=5,
        )
        generator = Generator(read_plan(write_plan(plan)))
        try:
            return make_load_result(plan, generator.run())
        finally:
            generator.close()


@pytest.mark.parametrize(
    ("respond", "faults"),
    [
        (reply, {}),
        (lambda n: b"" if n % 10 == 3 else reply(n), {"lost": 4}),
        (lambda n: reply(n) * (2 if n == 39 else 1), {"answered twice": 1}),
        (lambda n: reply(n + (n == 7)), {"swapped": 1}),
        (lambda n: reply(n, b"[]" if n == 7 else ANSWER), {"wrong": 1}),
        (lambda n: reply(n, ANSWER.replace(b"0.75", b"0.7502") if n == 7 else ANSWER), {"wrong": 1}),
        (lambda n: reply(n, status={3: 500, 5: 429, 6: 504}.get(n, 200)),
         {"wrong": 1, "refused": 1, "timed out": 1}),
    ],
    ids=["none", "lost", "twice", "swapped", "no labels", "another score", "status"],
)  # fmt: skip
def test_faults_are_counted(tmp_path: Path, respond: Respond, faults: dict[str, int]) -> None:
    result = load(tmp_path, respond)
    assert result.asked == 40
    assert +result.faults == faults
