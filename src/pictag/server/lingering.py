"""Closing a connection so that its last answer arrives.

A socket that is closed while the client still sends is reset by the system, and a reset takes the answer with
it: a client that was told 401 or 413 in the middle of its upload would see a broken connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

LINGER_S = 1.0  # for so long what a client still sends is read and thrown away
UPLOAD_BYTES = 2**12  # where so much came in that time, it is an upload that goes on, and gets as long again
MOST_BYTES = 2**26  # thrown away in all


class LingeringTransport:
    """A transport whose `close` says that no more will be sent, and closes when the client has understood.

    An upload that goes on is thrown away for ``longest_s``; a client that acknowledges nothing for so long is
    gone. One that does not read its answer is for the protocol to reset, whose `pause_writing` is called at
    `close` if a single byte has not left.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, longest_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._longest_s = longest_s
        self._until_s = 0.0
        self._is_closing = False
        self._heard_bytes = self._seen_bytes = 0
        self._held: list[bytes] = []
        _limit_silence(transport, longest_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more may be written."""
        return self._is_closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send, unless it was closed. Head and body of an answer leave in one piece.

        Each call of the system gives the interpreter away, and waits for it while workers have it.
        """
        if not self.is_closing():
            if not self._held:
                self._loop.call_soon(self._flush)
            self._held.append(data)

    def _flush(self) -> None:
        if self._held and not self._transport.is_closing():
            data = b"".join(self._held)
            self._held.clear()
            self._transport.write(data)

    def close(self) -> None:
        """Send what is left and the end; close once the client has done the same, or has had `LINGER_S`."""
        if self.is_closing():
            return
        self._flush()
        self._is_closing = True
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.set_write_buffer_limits(0)
            self._transport.write_eof()
            if not self._transport.is_reading():
                self._transport.resume_reading()
        except (OSError, RuntimeError):  # the client has left
            self._transport.close()
            return
        self._wait_until_sent()

    def hear(self, size: int) -> None:
        """So many bytes have come that nobody reads; once it is closed, not without end."""
        if self._is_closing:
            self._heard_bytes += size
            if self._heard_bytes > MOST_BYTES:
                self._transport.abort()

    def _wait_until_sent(self) -> None:
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size():
            self._loop.call_later(LINGER_S, self._wait_until_sent)
        else:
            self._until_s = self._loop.time() + self._longest_s
            self._linger()

    def _linger(self) -> None:
        self._seen_bytes = self._heard_bytes
        self._loop.call_later(LINGER_S, self._end)

    def _end(self) -> None:
        is_upload = self._heard_bytes - self._seen_bytes >= UPLOAD_BYTES
        if is_upload and self._loop.time() < self._until_s and not self._transport.is_closing():
            self._linger()
        else:
            self._transport.close()


def _limit_silence(transport: asyncio.Transport, longest_s: float) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT") and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # the peer may have left already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(longest_s * 1000))
