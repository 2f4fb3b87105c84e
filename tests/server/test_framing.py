from __future__ import annotations

from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.server.framing import find_fault, read_on, render_refusal
from pictag.server.refusals import HeadersTooLarge

HOST = (b"host", b"here")


class Heard:
    """What a parser tells, as a protocol that has read ``headers``."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.headers = headers
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *values: self.calls.append((name, *values))


def read_rest(protocol: Heard, rest: bytes) -> tuple[bool, list[tuple[Any, ...]]]:
    parser, has_body = read_on(protocol)  # type: ignore[arg-type]
    assert protocol.calls == []
    parser.feed_data(rest)
    return has_body, protocol.calls


def test_what_stood_in_the_headers_is_not_said_again() -> None:
    heard = Heard((b"x-name", b"value"), (b"upgrade", b"h2c"), (b"content-length", b"3"))
    assert read_rest(heard, b"abc") == (True, [("on_body", b"abc"), ("on_message_complete",)])


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"0"),)])
def test_without_a_body_the_next_request_begins(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    has_body, calls = read_rest(Heard(HOST, *headers), b"GET /next HTTP/1.1\r\n\r\n")
    assert not has_body
    assert calls[:2] == [("on_message_begin",), ("on_url", b"/next")]


@given(body=st.binary(min_size=1, max_size=50), cut=st.integers(0, 90))
def test_a_body_is_as_long_as_was_said_however_it_comes(body: bytes, cut: int) -> None:
    stream = body + b"GET /next HTTP/1.1\r\n\r\n"
    heard = Heard((b"content-length", b"%d" % len(body)))
    parser, _ = read_on(heard)  # type: ignore[arg-type]
    parser.feed_data(stream[:cut])
    parser.feed_data(stream[cut:])
    assert b"".join(call[1] for call in heard.calls if call[0] == "on_body") == body
    assert b"".join(call[1] for call in heard.calls if call[0] == "on_url") == b"/next"


def test_chunks_are_read_with_what_follows_them() -> None:
    heard = Heard((b"transfer-encoding", b"chunked"))
    has_body, calls = read_rest(heard, b"2\r\nab\r\n1\r\nc\r\n0\r\nX-T: a\r\n\r\n")
    assert has_body
    assert calls == [
        ("on_body", b"ab"), ("on_body", b"c"), ("on_header", b"X-T", b"a"), ("on_message_complete",)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ([HOST], None),
        ([HOST, (b"transfer-encoding", b"chunked")], None),
        ([HOST, (b"transfer-encoding", b"Chunked ")], None),
        ([], "one Host"),
        ([HOST, HOST], "one Host"),
        ([HOST, (b"transfer-encoding", b"gzip, chunked")], "'gzip, chunked' is not read; use Content-Enc"),
        ([HOST, (b"transfer-encoding", b"identity")], "'identity' is not read"),
        ([HOST, (b"transfer-encoding", b"\x1b\xff" + b"a" * 5000)], "…"),
    ],
)
def test_what_others_may_read_in_another_way_is_a_fault(
    headers: list[tuple[bytes, bytes]], fault: str | None
) -> None:
    parser = httptools.HttpRequestParser(Heard())
    parser.feed_data(b"GET / HTTP/1.1\r\n")
    found = find_fault(headers, parser)
    assert (found is None) == (fault is None)
    if fault is not None:
        assert fault in str(found)
        assert str(found).isprintable()
        assert len(str(found)) < 150


def test_a_refusal_is_a_whole_answer_and_the_last() -> None:
    head, _, body = render_refusal(HeadersTooLarge("Too large.")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-length: %d" % len(body) in head
