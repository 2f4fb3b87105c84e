"""Connections to checked addresses only, with one deadline for all waits."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import httpcore2

from pictag.errors import AddressRefused, FetchFailed, FetchTimeout
from pictag.images.address import is_local_name, is_public, read_literal

if TYPE_CHECKING:
    import ssl

Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host and port, as `look_up` does. Raises ``OSError`` if there are none."""


class Deadline:
    """The time by which a request must finish, however many waits it has."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left. Never 0, which would mean "don't wait" to a socket."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("out of time")
        return left


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system's resolver, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def find_addresses(
    host: str, port: int, *, shown: str, deadline: Deadline, allow_private: bool, resolve: Resolve
) -> list[str]:
    """Look up and check the addresses to connect to.

    Raises `AddressRefused` if any address isn't public (unless ``allow_private``), and `FetchFailed` if
    there is none. ``shown`` is the URL for messages.
    """
    # The message doesn't name the address: that would tell a remote user about the local network.
    refused = AddressRefused(
        f"{shown}: the host's address is not on the public internet. "
        "To allow private addresses, use allow_private_urls=True or --allow-private-urls."
    )
    literal = read_literal(host)
    if literal is None and not allow_private and is_local_name(host):
        raise refused
    addresses = [literal] if literal else _resolve_in_time(host, port, shown, deadline, resolve)
    if not allow_private and not all(is_public(address) for address in addresses):
        raise refused
    return addresses


def _resolve_in_time(host: str, port: int, shown: str, deadline: Deadline, resolve: Resolve) -> list[str]:
    # getaddrinfo has no timeout, so a thread waits for it. It is a daemon thread, so that a DNS server that
    # never answers doesn't keep the process from exiting.
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(resolve(host, port)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="pictag-look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left_s)
    except queue.Empty:
        raise FetchTimeout(
            f"{shown}: looking up the host name took more than {deadline.timeout_s:g} s."
        ) from None
    if isinstance(answer, Exception) or not answer:
        cause = answer if isinstance(answer, Exception) else None
        raise FetchFailed(
            f"{shown}: the host name could not be resolved. Check its spelling and the network."
        ) from cause
    return answer


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects only to the addresses that were checked, even if the host's name changes meanwhile."""

    def __init__(self, addresses: Sequence[str], deadline: Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Try the addresses in turn, each for its share of the time left."""
        system = httpcore2.SyncBackend()
        for tried, address in enumerate(self._addresses):
            share_s = self._deadline.left_s / (len(self._addresses) - tried)
            try:
                stream = system.connect_tcp(address, port, share_s, local_address, socket_options)
                return _TimedStream(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


class _TimedStream(httpcore2.NetworkStream):
    """A stream whose waits all share one deadline, so that a slow server can't extend it."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left_s)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left_s)
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
