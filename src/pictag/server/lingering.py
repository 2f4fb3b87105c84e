"""Closing a connection so that its last answer arrives.

A socket that is closed while the client still sends is reset by the system, and a reset takes the answer with
it: a client that was told 401 or 413 in the middle of its upload would see a broken connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

LINGER_S = 1.0  # for so long what a client still sends is read and thrown away


class LingeringTransport:
    """A transport whose `close` says that no more will be sent, and closes when the client has understood."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._is_closing = False
        self._held: list[bytes] = []

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
        """Send what is left and the end; close once the client has done the same, or after `LINGER_S`."""
        if self.is_closing():
            return
        self._flush()
        self._is_closing = True
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
            if not self._transport.is_reading():
                self._transport.resume_reading()
        except (OSError, RuntimeError):  # the client has left
            self._transport.close()
            return
        self._loop.call_later(LINGER_S, self._end)

    def _end(self) -> None:
        if self._transport.get_write_buffer_size() == 0:
            self._transport.close()
        else:
            self._transport.abort()
