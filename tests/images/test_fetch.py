"""Reading URLs from a real server on loopback: content and limits."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from images.imageserver import Handler, Server, redirect, send
from pictag.errors import FetchFailed, FetchTimeout, FetchTooLarge, NotAnImage
from pictag.images import FetchLimits, make_source, read_image
from pictag.images.fetch import fetch_bytes

Encode = Callable[..., bytes]
PRIVATE = FetchLimits(allow_private=True)


def test_a_url_is_read_into_an_image(photo: Image.Image, encode: Encode, server: Server) -> None:
    data = encode(photo, "PNG")
    server.answers["/a b.png"] = server.answers["/a%20b.png"] = send(data)
    source = make_source(server.url("/a%20b.png?size=large"))
    image = read_image(source, fetch=PRIVATE)
    assert image.rgb.tobytes() == photo.tobytes()
    path, headers = server.asked[0]
    assert path == "/a%20b.png?size=large"
    assert headers["Host"] == f"127.0.0.1:{server.port}"
    assert "Authorization" not in headers


def test_the_error_for_a_web_page_says_so(server: Server) -> None:
    server.answers["/"] = send(b"<!doctype html><title>Log in</title>")
    with pytest.raises(NotAnImage, match="web page"):
        read_image(make_source(server.url()), fetch=PRIVATE)


def test_a_response_in_chunks_or_without_length_is_read(server: Server) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    server.answers = {"/chunked": chunked, "/open": send(b"abcde", Content_Length="")}
    for path in server.answers:
        assert fetch_bytes(server.url(path), limits=PRIVATE) == b"abcde"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
def test_a_compressed_response_is_decompressed_although_not_requested(server: Server, encoding: str) -> None:
    packed = zlib.compress(b"abcde") if encoding == "deflate" else gzip.compress(b"abcde")
    server.answers["/"] = send(packed, Content_Encoding=encoding)
    assert fetch_bytes(server.url(), limits=PRIVATE) == b"abcde"
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (
            gzip.compress(b"abcde", mtime=0)[:-4],
            {"Content_Encoding": "gzip"},
            "compressed response was truncated",
        ),
        (b"not gzip", {"Content_Encoding": "gzip"}, "compressed response is corrupt"),
        (b"...", {"Content_Encoding": "br"}, "encoding br"),
        (b"abc", {"Content_Length": "100"}, "incomplete|closed"),
    ],
    ids=["truncated gzip", "not gzip", "brotli", "truncated"],
)
def test_an_unreadable_body_is_an_error(
    server: Server, body: bytes, headers: dict[str, Any], message: str
) -> None:
    server.answers["/"] = send(body, **headers)
    with pytest.raises(FetchFailed, match=message):
        fetch_bytes(server.url(), limits=PRIVATE)


@pytest.mark.parametrize("status", [204, 206, 300, 400, 401, 403, 404, 410, 429, 500, 503])
def test_the_error_for_a_status_other_than_200_names_it(server: Server, status: int) -> None:
    server.answers["/"] = send(b"", status)
    with pytest.raises(FetchFailed, match=str(status)) as caught:
        fetch_bytes(server.url(), limits=PRIVATE)
    assert isinstance(caught.value, OSError)


def test_max_bytes_applies_however_the_response_is_sent(server: Server) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(65536))
        except OSError:
            pass

    server.answers = {
        "/stated": send(b"", Content_Length="10000000000"),
        "/absurd": send(b"", Content_Length="9" * 400),
        "/endless": endless,
        "/bomb": send(gzip.compress(bytes(10**8)), Content_Encoding="gzip"),
        "/exact": send(bytes(1000)),
    }
    assert len(fetch_bytes(server.url("/exact"), limits=replace(PRIVATE, max_bytes=1000))) == 1000
    for path in server.answers:
        with pytest.raises((FetchTooLarge, FetchFailed)) as caught:
            fetch_bytes(server.url(path), limits=replace(PRIVATE, max_bytes=999))
        if path != "/absurd":
            assert isinstance(caught.value, FetchTooLarge)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000])
def test_a_response_that_is_not_http_is_an_error(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(FetchFailed):
            fetch_bytes(f"http://127.0.0.1:{listener.getsockname()[1]}/", limits=PRIVATE)


def test_a_closed_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchFailed, match=f"http://127.0.0.1:{port}/x"):
        fetch_bytes(f"http://127.0.0.1:{port}/x", limits=PRIVATE)


def drip(part: bytes) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.wfile.write(part)
        try:
            for _ in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    return answer


@pytest.mark.parametrize(
    "part",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"],
    ids=["status", "headers", "body"],
)
def test_the_time_limit_covers_the_whole_request(server: Server, part: bytes) -> None:
    server.answers["/"] = drip(part)
    with pytest.raises(FetchTimeout, match=r"within 0\.4 s") as caught:
        fetch_bytes(server.url(), limits=replace(PRIVATE, timeout_s=0.4))
    assert isinstance(caught.value, TimeoutError)


def test_redirects_share_one_time_limit(server: Server) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.2)
        redirect("/")(handler)

    server.answers["/"] = slow
    with pytest.raises(FetchTimeout):
        fetch_bytes(server.url(), limits=replace(PRIVATE, timeout_s=0.5, max_redirects=50))


def test_the_time_limit_covers_the_name_lookup() -> None:
    answer = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        answer.wait()
        return []

    with pytest.raises(FetchTimeout, match="name"):
        fetch_bytes("http://example.org/", limits=FetchLimits(timeout_s=0.2), resolve=hang)
    answer.set()


@pytest.mark.parametrize("answer", [OSError("no such host"), UnicodeError("label too long"), []])
def test_an_unknown_name_is_an_error(answer: object) -> None:
    def resolve(host: str, port: int) -> list[str]:
        if isinstance(answer, Exception):
            raise answer
        return []

    with pytest.raises(FetchFailed, match="could not be resolved"):
        fetch_bytes("http://example.org/", resolve=resolve)
