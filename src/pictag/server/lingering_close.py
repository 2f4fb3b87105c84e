"""Closing a connection in such a way that its last response arrives.

If a socket is closed while the client still sends, the system resets the connection, and the reset discards
the response: a client that gets 401 or 413 in the middle of its upload would only see a broken connection.
nginx calls the remedy ``lingering_close``.
"""

from __future__ import annotations

import asyncio
from typing import Any

LINGER_S = 1.0  # how long to read and discard after the response; extended while data keeps arriving


class LingeringTransport:
    """A transport whose `close` ends the sending side first and closes once the client has stopped sending.

    An upload is discarded for at most ``max_linger_s``. If the response can't be sent completely,
    `pause_writing` of the protocol is called, which then has to reset the connection.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, max_linger_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._max_linger_s = max_linger_s
        self._until_s = 0.0
        self._is_closing = self._is_receiving = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more may be written."""
        return self._is_closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send, unless `close` was called."""
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send the rest and the end of the stream; close when the client is done sending."""
        if self.is_closing():
            return
        self._is_closing = self._is_receiving = True
        self._until_s = self._loop.time() + self._max_linger_s
        try:
            self._transport.set_write_buffer_limits(0)  # one unsent byte calls the protocol's pause_writing
            self._transport.write_eof()
            self._transport.resume_reading()
        except (OSError, RuntimeError):  # the client is gone
            self._transport.close()
            return
        self._linger()

    def discard(self) -> None:
        """Note that the client has sent data which nobody reads."""
        self._is_receiving = True

    def _linger(self) -> None:
        if self._transport.is_closing():
            return
        unsent_bytes = self._transport.get_write_buffer_size()
        if unsent_bytes:
            self._until_s = self._loop.time() + self._max_linger_s
        elif not self._is_receiving or self._loop.time() >= self._until_s:
            self._transport.close()
            return
        self._is_receiving = unsent_bytes > 0  # linger at least once after everything was sent
        self._loop.call_later(LINGER_S, self._linger)
