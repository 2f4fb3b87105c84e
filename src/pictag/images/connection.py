"""Connections that lead where they were checked to lead, and end in time."""

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
"""Gives the addresses of a host and port, as `look_up` does; raises ``OSError`` where there are none."""


class Deadline:
    """One moment by which everything has to be done; waits are counted against it, however many."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds that are left; at least a moment, because 0 means "do not wait" to a socket."""
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
    """The addresses to connect to, every one of them checked.

    Raises `AddressRefused` when any address is not public (unless ``allow_private``), and `FetchFailed`
    when there is none. ``shown`` is the URL for messages.
    """
    # The message does not say which address it was: that would tell a stranger about the network here.
    refused = AddressRefused(
        f"{shown}: it leads to an address that is not on the public internet. "
        "Where that is meant, allow private URLs: allow_private_urls=True, or --allow-private-urls."
    )
    literal = read_literal(host)
    if literal is None and not allow_private and is_local_name(host):
        raise refused
    addresses = [literal] if literal else _resolve_in_time(host, port, shown, deadline, resolve)
    if not allow_private and not all(is_public(address) for address in addresses):
        raise refused
    return addresses


def _resolve_in_time(host: str, port: int, shown: str, deadline: Deadline, resolve: Resolve) -> list[str]:
    # The system's resolver takes no time limit, so that a thread has to wait for it. A daemon: a server of
    # names that never answers must not keep the process from ending.
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
            f"{shown}: the host's name was not found within {deadline.timeout_s:g} s."
        ) from None
    if isinstance(answer, Exception) or not answer:
        cause = answer if isinstance(answer, Exception) else None
        raise FetchFailed(f"{shown}: the host's name is not known.") from cause
    return answer


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects to the addresses that were checked, whatever the name leads to by now."""

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
        """Try the addresses one after the other, each for its share of the time that is left."""
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
    """A stream whose every wait ends with the deadline: a byte a second does not prolong it."""

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
