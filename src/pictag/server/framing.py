"""Where a message begins and ends on a connection: read in one way alone, or refused."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pictag.errors import shorten
from pictag.server.refusals import BadRequest, Refusal, describe_error

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_FRAMING = (b"content-length", b"transfer-encoding")
_CALLBACKS = (
    "on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"
)  # fmt: skip


def find_fault(
    headers: Iterable[tuple[bytes, bytes]], parser: httptools.HttpRequestParser
) -> BadRequest | None:
    """What the parser takes and others may read in another way; names of headers in lower case.

    A body in gzip that was packed for the way, and not by its sender, is one of them (RFC 9112, 6.1).
    """
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and value.rstrip(b" ").lower() != b"chunked":
            shown = shorten(repr(value.decode("latin-1")), 60)
            return BadRequest(f"Transfer-Encoding {shown} is not read; use Content-Encoding.")
    if hosts > 1 or (hosts == 0 and parser.get_http_version() == "1.1"):
        return BadRequest("The request needs one Host header.")
    return None


def read_on(protocol: HttpToolsProtocol) -> tuple[httptools.HttpRequestParser, bool]:
    """A parser that stands behind the headers ``protocol`` has read last; whether a body follows them.

    httptools stops there when a client would rather change to another protocol, as Java's does with its first
    request, whatever that is; a server that goes on with HTTP/1.1 takes it as if it had not asked (RFC 9110,
    7.8). Where the body ends is found out from the same lines by another parser of the same kind.
    """
    callbacks = _Callbacks(protocol)
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
    lines = [b"%s: %s\r\n" % header for header in protocol.headers if header[0] in _FRAMING]
    parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *lines, b"\r\n"]))
    callbacks.are_silent = False
    return parser, not callbacks.is_complete


class _Callbacks:
    """What a protocol's parser calls, silent until the protocol hears something new."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self.are_silent = True
        self.is_complete = False
        for name in _CALLBACKS:
            setattr(self, name, functools.partial(self._call, name, getattr(protocol, name)))

    def _call(self, name: str, callback: Callable[..., None], *values: Any) -> None:
        if not self.are_silent:
            callback(*values)
        elif name == "on_message_complete":
            self.is_complete = True


def render_refusal(why: Refusal) -> bytes:
    """A whole answer that is the last on its connection."""
    reply = describe_error(why, request_id=secrets.token_hex(8))
    headers = {**reply.headers, "Content-Length": str(len(reply.body)), "Connection": "close"}
    lines = [f"{name.lower()}: {value}\r\n".encode() for name, value in headers.items()]
    return b"".join([STATUS_LINE[reply.status], *lines, b"\r\n", reply.body])
