"""Clients that send one byte per second, half of them headers, half a body, and reconnect when closed."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

HEADERS = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"


class SlowClients:
    """A context manager that keeps ``count`` slow clients connected."""

    def __init__(self, port: int, count: int, *, every_s: float = 1.0) -> None:
        self._port = port
        self._every_s = every_s
        self._sockets: list[socket.socket | None] = [None] * count
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.closed_by_server = 0

    def __enter__(self) -> SlowClients:
        self._send_all()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        for sock in self._sockets:
            if sock is not None:
                sock.close()

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            self._send_all()

    def _send_all(self) -> None:
        for number, sock in enumerate(self._sockets):
            if sock is None:
                self._sockets[number] = self._begin(number)
            elif not self._send_one(sock):
                self.closed_by_server += 1
                sock.close()
                self._sockets[number] = None

    def _begin(self, number: int) -> socket.socket | None:
        with contextlib.suppress(OSError):
            sock = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            sock.sendall(BODY if number % 2 else HEADERS)
            sock.setblocking(False)
            return sock
        return None

    @staticmethod
    def _send_one(sock: socket.socket) -> bool:
        """Send one byte; false if the server responded or closed the connection."""
        try:
            sock.send(b"x")
            sock.recv(65_536)  # a response: the server gave up waiting
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False
