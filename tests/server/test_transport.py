from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from liveserver import LONGEST_S, Live, ask, connect, read_response, read_to_end, run_server, wait_until
from pictag.server.prometheus import Metrics
from pictag.server.settings import ServerSettings
from pictag.server.transport import MAX_PIPELINED, make_protocol
from tinymodel import make_image

LARGE_BYTES = 12_000_000  # more than the system's buffers hold for one connection
HEALTH = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
HEALTH_AND_CLOSE = b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(
        models=("embedded",),
        silent_timeout_s=0.4,
        header_timeout_s=0.4,
        body_timeout_s=0.6,
        keep_alive_s=0.4,
        max_header_bytes=4096,
        max_headers=20,
        max_connections=40,
        log_requests=False,
    ) as live:
        yield live


@pytest.fixture(scope="module")
def patient() -> Iterator[Live]:
    """A server with the default time limits, for tests that are not about them."""
    with run_server(models=("embedded",), log_requests=False) as live:
        yield live


@dataclass
class Seen:
    """The requests that `answer_by_path` received."""

    bodies: list[bytes]
    began: list[str]
    left: list[str]

    def clear(self) -> None:
        for seen in (self.bodies, self.began, self.left):
            seen.clear()


class PlainServer(uvicorn.Server):
    """uvicorn's server, which checks the deadlines of its connections ten times per second."""

    async def on_tick(self, counter: int) -> bool:
        connections: Any = tuple(self.server_state.connections)
        for connection in connections:
            connection.check_deadlines(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


@contextlib.contextmanager
def serve_app(**limits: float) -> Iterator[tuple[int, Seen]]:
    """A simple application: ``/large`` has a large response, ``/wait`` ends when its client leaves."""
    seen = Seen(bodies=[], began=[], left=[])

    async def answer_by_path(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        seen.bodies.append(body)
        seen.began.append(scope["path"])
        if scope["path"] == "/wait":
            while message["type"] != "http.disconnect":
                message = await receive()
            seen.left.append(scope["path"])
            return
        answer = bytes(LARGE_BYTES) if scope["path"] == "/large" else body
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    settings = ServerSettings(max_header_bytes=4096, max_headers=20, shutdown_timeout_s=0.1, **limits)  # type: ignore[arg-type]
    server = PlainServer(
        uvicorn.Config(
            answer_by_path,
            http=make_protocol(settings, Metrics()),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield port, seen
        finally:
            server.should_exit = True
            thread.join(LONGEST_S)


@pytest.fixture(scope="module")
def app() -> Iterator[tuple[int, Seen]]:
    with serve_app() as served:
        yield served


@pytest.fixture
def plain(app: tuple[int, Seen]) -> tuple[int, Seen]:
    app[1].clear()
    return app


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_image(tmp_path_factory.mktemp("p") / "p.png").read_bytes()


def send(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send pieces as far as the server accepts them; its responses until it closes the connection."""
    with connect(port) as sock:
        for piece in pieces:
            try:
                sock.sendall(piece)
            except ConnectionError:
                break
            if pause_s:
                time.sleep(pause_s)
        return read_to_end(sock)


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answers)]


def trickle(sock: socket.socket, data: bytes, stop: threading.Event, pause_s: float = 0.05) -> None:
    """Send a byte now and then for as long as the server accepts them."""
    with contextlib.suppress(OSError):
        for byte in data:
            if stop.wait(pause_s):
                return
            sock.sendall(bytes([byte]))


def test_a_silent_connection_is_closed(live: Live) -> None:
    assert send(live.port) == b""


POST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n"
SLOW_HEADERS = b"GET /health HTTP/1.1\r\nHost: here\r\nX-Slow: " + b"a" * 1000


@pytest.mark.parametrize(
    ("beginning", "slow", "expected"),
    [
        (b"", SLOW_HEADERS, [408]),
        (b"\r\n\r\n" * 10, SLOW_HEADERS, [408]),
        (HEALTH + HEALTH, SLOW_HEADERS, [200, 200, 408]),
        (b"", b"\r\n" * 500, [408]),
        (POST, b"a" * 1000, [408]),
    ],
    ids=["headers", "empty lines and headers", "pipelined headers", "empty lines", "body"],
)
def test_a_request_that_arrives_byte_by_byte_times_out(
    live: Live, beginning: bytes, slow: bytes, expected: list[int]
) -> None:
    stop = threading.Event()
    with connect(live.port) as sock:
        sock.sendall(beginning)
        thread = threading.Thread(target=trickle, args=(sock, slow, stop))
        thread.start()
        answers = read_to_end(sock)
        stop.set()
        thread.join()
    assert statuses(answers) == expected
    assert b"connection: close" in answers


def test_slow_connections_do_not_affect_others(live: Live, image: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(live.port)).sendall(b"POST / HTTP/1.1\r\nHost: h\r\nX-Slow: ")
        for _ in range(10):
            assert ask(live.port, "/", method="POST", body=image)[0] == 200


def test_an_idle_connection_is_closed_after_its_response(live: Live) -> None:
    with connect(live.port) as sock:
        sock.sendall(HEALTH)
        assert statuses(read_to_end(sock)) == [200]


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: -3\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length : 3\r\n",
        b"X-Null: a\0b\r\n",
        b"X-Nu\0ll: ab\r\n",
        b"X-Bare: a\rb\r\n",
        b"X-Folded: a\r\n b\r\n",
        b"Host: elsewhere\r\n",
        b": nameless\r\n",
    ],
)
def test_an_ambiguous_request_is_rejected(live: Live, headers: bytes) -> None:
    answer = send(
        live.port, b"POST /v2 HTTP/1.1\r\nHost: here\r\n" + headers + b"\r\nabcGET /health HTTP/1.1\r\n"
    )
    assert statuses(answer) == [400]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert json.loads(body).keys() == {"error", "message", "code", "type", "request_id"}


def test_an_unsupported_transfer_encoding_is_named_and_escaped(live: Live) -> None:
    for coding, shown in (
        (b"gzip, chunked", b"'gzip, chunked' is not"),
        (b"\xff\xfe" + b"a" * 500, "…".encode()),
    ):
        answer = send(live.port, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: %b\r\n\r\n" % coding)
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert shown.decode() in error
        assert error.isprintable()
        assert len(error) < 150


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/3.7\r\nHost: h\r\n\r\n",
        b"GET /h\0 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /h\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT here:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"G" * 300,
    ],
)
def test_an_invalid_request_is_rejected(live: Live, request_: bytes) -> None:
    assert statuses(send(live.port, request_)) == [400]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /health HTTP/1.1\r\nHost: h\r\nX-Big: " + b"a" * 70_000 + b"\r\n\r\n"],
        [b"GET /health HTTP/1.1\r\nHost: h\r\nX-Endless: ", *[b"a" * 50_000] * 100],
        [b"GET /health HTTP/1.1\r\nHost: h\r\n", *[b"X-Many: a\r\n"] * 21, b"\r\n"],
        [b"GET /health?" + b"a" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n"],
        [b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", *[b"a" * 50_000] * 100],
        [
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: ",
            *[b"a" * 50_000] * 100,
        ],
        [b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X-T: aaaa\r\n"] * 500],
    ],
    ids=["one header", "endless header", "many", "url", "chunk extension", "endless trailer", "trailers"],
)
def test_headers_that_are_too_large_are_rejected(live: Live, pieces: list[bytes]) -> None:
    assert statuses(send(live.port, *pieces)) == [431]


def test_trailers_are_ignored(live: Live) -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = send(live.port, chunked + b"1\r\na\r\n0\r\nX-Request-Id: smuggled\r\n\r\n")
    assert statuses(answer) == [415]
    assert b"smuggled" not in answer


def test_pipelined_requests_are_answered_in_order(live: Live, image: bytes) -> None:
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(image), image)
    missing = b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"
    answers = send(live.port, post + missing + post + HEALTH_AND_CLOSE)
    assert statuses(answers) == [200, 404, 200, 200]


def test_the_number_of_pipelined_requests_is_limited(live: Live, image: bytes) -> None:
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(image), image)
    answers = statuses(send(live.port, post + HEALTH * 3000))
    assert 1 < len(answers) < 30
    assert set(answers) == {200}


def test_a_response_is_finished_before_an_invalid_request_ends_the_connection(
    live: Live, image: bytes
) -> None:
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(image), image)
    assert statuses(send(live.port, post + b"nonsense\r\n\r\n")) == [200]
    broken = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    assert statuses(send(live.port, post + broken)) == [200]
    assert statuses(send(live.port, broken)) == [400]


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAA\r\nUpgrade: h2c\r\n"
SIZED = b"POST /a HTTP/1.1\r\nHost: h\r\n" + UPGRADE + b"Content-Length: 7\r\n\r\npayload"
CHUNKED = (
    b"POST /a HTTP/1.1\r\nHost: h\r\n" + UPGRADE + b"Transfer-Encoding: Chunked\r\n\r\n"
    b"3\r\npay\r\n4;x=y\r\nload\r\n0\r\nX-T: a\r\n\r\n"
)
AND_CLOSE = b"POST /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast"


@pytest.mark.parametrize("first", [SIZED, CHUNKED], ids=["sized", "chunked"])
def test_the_body_of_an_upgrade_request_is_read(plain: tuple[int, Seen], first: bytes) -> None:
    port, seen = plain
    stream = first + first + AND_CLOSE
    for cut in range(0, len(first) + 30, 7):
        seen.bodies.clear()
        pieces = [piece for piece in (stream[:cut], stream[cut:]) if piece]
        assert statuses(send(port, *pieces, pause_s=0.002)) == [200] * 3
        assert seen.bodies == [b"payload", b"payload", b"last"], cut


def test_an_upgrade_request_does_not_end_the_connection(plain: tuple[int, Seen]) -> None:
    port, seen = plain
    with connect(port) as sock:
        for piece in (SIZED, CHUNKED, b"GET /a HTTP/1.1\r\nHost: h\r\n" + UPGRADE + b"\r\n"):
            sock.sendall(piece)
            assert b"connection: close" not in read_response(sock)[1]
        sock.sendall(AND_CLOSE)
        assert statuses(read_to_end(sock)) == [200]
    assert seen.bodies == [b"payload", b"payload", b"", b"last"]


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", [400]),
        (b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", [400]),
        (b"Transfer-Encoding: gzip\r\n\r\nabc", [400]),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [400]),
        (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", [400]),
        (b"Content-Length: 0\r\n\r\nabc", [200]),
        (b"Content-Length: 3\r\n\r\nabcnonsense\r\n\r\n", [200]),
        (b"X-A: b\r\n\r\nnonsense\r\n\r\n", [200]),
    ],
    ids=repr,
)
def test_the_body_of_an_upgrade_request_ends_where_its_headers_say(
    plain: tuple[int, Seen], framing: bytes, status: list[int]
) -> None:
    assert statuses(send(plain[0], b"POST /a HTTP/1.1\r\nHost: h\r\n" + UPGRADE + framing)) == status


def test_a_connect_request_ends_the_connection(plain: tuple[int, Seen]) -> None:
    port, seen = plain
    answer = send(port, b"CONNECT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + AND_CLOSE)
    assert len(statuses(answer)) == 1
    assert b"last" not in seen.bodies


def read_slowly(port: int, request: bytes, *, bytes_per_s: float) -> int:
    """How many bytes a slow client with a small buffer receives before the connection ends."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(LONGEST_S)
        sock.connect(("127.0.0.1", port))
        sock.sendall(request)
        count, begun_s = 0, time.monotonic()
        with contextlib.suppress(ConnectionError):
            while piece := sock.recv(20_000):
                count += len(piece)
                time.sleep(max(0.0, begun_s + count / bytes_per_s - time.monotonic()))
        return count


CLOSING = [
    b"GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /large HTTP/1.0\r\n\r\n",
]


@pytest.mark.parametrize("request_", CLOSING, ids=["close", "1.0"])
def test_a_slow_reader_gets_a_large_last_response_completely(
    plain: tuple[int, Seen], request_: bytes
) -> None:
    assert read_slowly(plain[0], request_, bytes_per_s=8e6) > LARGE_BYTES


def test_a_reader_that_is_too_slow_is_reset() -> None:
    with serve_app(body_timeout_s=0.5) as (port, _):
        assert read_slowly(port, CLOSING[0], bytes_per_s=2e6) < LARGE_BYTES


def test_a_slow_upload_can_read_an_early_response_afterwards(plain: tuple[int, Seen]) -> None:
    with connect(plain[0]) as sock:
        # Broken chunks are answered at once.
        sock.sendall(b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        for _ in range(16):
            time.sleep(0.1)
            sock.sendall(b"a" * 20_000)
        assert statuses(read_to_end(sock)) == [400]


def test_an_endless_upload_after_the_last_response_is_ended() -> None:
    with serve_app(body_timeout_s=1.0) as (port, _), connect(port) as sock:
        sock.sendall(b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        trickle(sock, b"a" * 2000, threading.Event(), pause_s=0.02)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            sock.sendall(b"a")


def test_a_client_that_leaves_during_its_second_request_is_noticed(plain: tuple[int, Seen]) -> None:
    port, seen = plain
    with connect(port) as sock:
        for path in (b"/a", b"/wait"):
            sock.sendall(b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" % path)
        wait_until(lambda: seen.began == ["/a", "/wait"])
    wait_until(lambda: seen.left == ["/wait"], 10)
    assert seen.began == ["/a", "/wait"]


def flood(sock: socket.socket, data: bytes, times: int) -> None:
    for _ in range(times):
        sock.sendall(data)


def test_pipelined_bodies_are_not_buffered_without_limit(plain: tuple[int, Seen]) -> None:
    """The server stops reading, so that the client can't send any more."""
    size = 4_000_000
    ahead = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    with connect(plain[0]) as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            flood(sock, ahead, MAX_PIPELINED)


def test_too_many_connections_get_429(live: Live) -> None:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(live.port)) for _ in range(60)]
        wait_until(lambda: len(live.server.server_state.connections) >= 60, 2)
        answers = [statuses(read_to_end(sock)) for sock in sockets]
    assert answers.count([429]) == 20
    assert answers.count([]) == 40
    wait_until(lambda: not live.server.server_state.connections)
    assert ask(live.port)[0] == 200


def test_a_client_can_read_an_error_in_the_middle_of_its_upload(live: Live) -> None:
    with connect(live.port) as sock:
        sock.sendall(b"POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 30000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                sock.sendall(b"a" * 100_000)
        assert statuses(read_to_end(sock)) == [404]


def test_a_client_that_does_not_read_its_responses_is_disconnected(live: Live) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", live.port))
        request = b"GET /page/page.js HTTP/1.1\r\nHost: h\r\n\r\n"
        with contextlib.suppress(OSError):
            for _ in range(2000):
                sock.sendall(request)
        wait_until(lambda: not live.server.server_state.connections, 10)


def test_closed_connections_leave_no_open_files(live: Live) -> None:
    wait_until(lambda: not live.server.server_state.connections)
    assert not live.server.server_state.tasks
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(50):
        with connect(live.port) as sock:
            sock.sendall(b"GET /hea")
    wait_until(lambda: not live.server.server_state.connections)
    if before:
        wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 400), max_size=6, unique=True))
def test_requests_may_be_split_into_packets_anywhere(patient: Live, cuts: list[int]) -> None:
    post = b"POST /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    post += b"3\r\nabc\r\n0\r\nX-T: a\r\n\r\n"
    stream = (
        HEALTH + b"GET /nothing HTTP/1.1\r\nHost: h\r\nX-Padding: " + b"a" * 200 + b"\r\n\r\n" + HEALTH + post
    )
    ends = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    with connect(patient.port) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin, end in itertools.pairwise(ends):
            sock.sendall(stream[begin:end])
            time.sleep(0.001)
        assert statuses(read_to_end(sock)) == [200, 404, 200, 404]


@settings(max_examples=40)
@given(at=st.integers(0, 150), byte=st.integers(0, 255), insert=st.booleans())
def test_no_wrong_byte_causes_a_server_error(live: Live, at: int, byte: int, insert: bool) -> None:
    stream = b"POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + HEALTH_AND_CLOSE
    answers = statuses(send(live.port, stream[:at] + bytes([byte]) + stream[at + (not insert) :]))
    assert all(status < 500 for status in answers)


@pytest.mark.soak
def test_slow_connections_are_closed_in_time_with_the_default_settings(image: bytes) -> None:
    sent = {
        "silent": (b"", b""),
        "headers": (b"", b"GET /health HTTP/1.1\r\nHost: h\r\nX-Slow: " + b"a" * 60),
        "body": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", b"a" * 60),
    }
    ended: dict[str, tuple[float, list[int]]] = {}

    def attack(name: str, port: int) -> None:
        begin, slow = sent[name]
        begun = time.monotonic()
        with connect(port) as sock:
            sock.sendall(begin)
            stop = threading.Event()
            trickler = threading.Thread(target=trickle, args=(sock, slow, stop), kwargs={"pause_s": 1})
            trickler.start()
            answers = statuses(read_to_end(sock))
            ended[name] = time.monotonic() - begun, answers
            stop.set()
            trickler.join()

    with run_server(models=("embedded",), log_requests=False) as live:
        threads = [
            threading.Thread(target=attack, args=(name, live.port)) for name in sent for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert ask(live.port, "/", method="POST", body=image)[0] == 200
            time.sleep(0.1)
    assert ended["silent"][0] < 13
    assert ended["headers"][0] < 13
    assert ended["body"][0] < 33
    assert {name: answers for name, (_, answers) in ended.items()} == {
        "silent": [], "headers": [408], "body": [408]
    }  # fmt: skip
