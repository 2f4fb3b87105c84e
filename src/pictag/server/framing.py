"""Finding where a message ends, and rejecting messages that others might read differently."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pictag.errors import shorten
from pictag.server.http_errors import BadRequest, HTTPError, error_response

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_FRAMING = (b"content-length", b"transfer-encoding")
_CALLBACKS = (
    "on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"
)  # fmt: skip


def find_fault(
    headers: Iterable[tuple[bytes, bytes]], parser: httptools.HttpRequestParser
) -> BadRequest | None:
    """The error for a message that the parser accepts but others may read differently; names in lower case.

    That includes transfer codings other than chunked (RFC 9112, 6.1).
    """
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and value.rstrip(b" ").lower() != b"chunked":
            shown = shorten(repr(value.decode("latin-1")), 60)
            return BadRequest(f"Transfer-Encoding {shown} is not supported. Use Content-Encoding.")
    if hosts > 1 or (hosts == 0 and parser.get_http_version() == "1.1"):
        return BadRequest("The request must have one Host header.")
    return None


def continue_after_headers(protocol: HttpToolsProtocol) -> tuple[httptools.HttpRequestParser, bool]:
    """A parser that continues after the headers ``protocol`` has just read, and whether a body follows.

    httptools stops there if a client asks to upgrade to another protocol, as Java's client does with every
    first request. A server may ignore that and continue with HTTP/1.1 (RFC 9110, 7.8). A second parser gets
    the headers that determine where the body ends.
    """
    callbacks = _Callbacks(protocol)
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
    lines = [b"%s: %s\r\n" % header for header in protocol.headers if header[0] in _FRAMING]
    parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *lines, b"\r\n"]))
    callbacks.are_muted = False
    return parser, not callbacks.is_complete


class _Callbacks:
    """A protocol's parser callbacks, muted while the parser reads headers that the protocol already has."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self.are_muted = True
        self.is_complete = False
        for name in _CALLBACKS:
            setattr(self, name, functools.partial(self._call, name, getattr(protocol, name)))

    def _call(self, name: str, callback: Callable[..., None], *values: Any) -> None:
        if not self.are_muted:
            callback(*values)
        elif name == "on_message_complete":
            self.is_complete = True


def render_error(error: HTTPError) -> bytes:
    """A complete error response, the last one on its connection."""
    response = error_response(error, request_id=(request_id := secrets.token_hex(8)))
    headers = [*response.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
    lines = [b"%s: %s\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", bytes(response.body)])
