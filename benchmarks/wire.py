"""One connection of the load generator: sends bytes and parses complete responses."""

from __future__ import annotations

import re
import selectors
import socket

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_REQUEST_ID = re.compile(rb"\r\nx-request-id: *(\d+)\r", re.I)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.I)
_RECEIVE_BYTES = 65_536
_SEND_BUFFER_BYTES = 1 << 19  # most images leave in one call
_CONNECT_S = 5.0


class BrokenAnswer(Exception):
    """The received bytes are not an HTTP response."""


class Wire:
    """A connection with at most one request (``number``) at a time."""

    __slots__ = (
        "_unsent",
        "events",
        "idle_since_s",
        "is_broken",
        "is_closed",
        "number",
        "received",
        "socket",
    )

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_S)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self.number: int | None = None
        self.received = bytearray()
        self.events = selectors.EVENT_READ
        self.idle_since_s = 0.0
        self.is_broken = self.is_closed = False  # broken: nothing more can be sent
        self._unsent: list[memoryview] = []

    @property
    def is_unsent(self) -> bool:
        """Whether a part of the request was not sent before the response arrived."""
        return bool(self._unsent)

    def ask(self, number: int, body: bytes, *, timeout_ms: int | None) -> None:
        """Set the next request; `send` sends it."""
        self.number = number
        head = (
            f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {number}\r\nContent-Length: {len(body)}\r\n"
        )
        if timeout_ms is not None:
            head += f"X-Request-Timeout-Ms: {timeout_ms}\r\n"
        self._unsent = [memoryview(head.encode() + b"\r\n"), memoryview(body)]

    def send(self) -> bool:
        """Send as much as possible without blocking; true if that was everything. Raises `OSError`."""
        if self.is_broken:
            return True
        while self._unsent:
            try:
                sent = self.socket.sendmsg(self._unsent)
            except BlockingIOError:
                return False
            while self._unsent and sent >= len(self._unsent[0]):
                sent -= len(self._unsent.pop(0))
            if sent:
                self._unsent[0] = self._unsent[0][sent:]
        return True

    def receive(self) -> bool:
        """Read the available bytes; false at the end of the stream. Raises `OSError`."""
        try:
            data = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return True
        self.received += data
        return bool(data)

    def take_answer(self) -> tuple[int, int, bytes, bool] | None:
        """Status, request id, body, and whether the server closes; ``None`` until it is complete."""
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.received[: end + 2])
        status, length, request_id = _STATUS.match(head), _LENGTH.search(head), _REQUEST_ID.search(head)
        if status is None or length is None:
            raise BrokenAnswer(head)
        total = end + 4 + int(length[1])
        if len(self.received) < total:
            return None
        body = bytes(self.received[end + 4 : total])
        del self.received[:total]
        return (
            int(status[1]),
            int(request_id[1]) if request_id else -1,
            body,
            _CLOSES.search(head) is not None,
        )

    def close(self) -> None:
        """Close the connection."""
        self.is_closed = True
        self.socket.close()
