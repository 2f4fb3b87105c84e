"""The listening socket, its pending connections, and the limit on open files."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

from pictag.errors import OptionError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPARE_FILES = 256
_SO_ATTACH_FILTER = 26  # on Linux; Python has no constant for it
_BPF_RETURN = 0x06


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to this address that doesn't listen yet; raises `OptionError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise OptionError(
            f"host={shorten(host, 80)!r} is not an address of this machine: {error}."
        ) from error
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise explain_bind_error(error, host, port) from error
    return listener


def explain_bind_error(error: OSError, host: str, port: int) -> OptionError:
    """The error for an address that can't be bound."""
    advice = " Choose a port above 1023." if error.errno == errno.EACCES else " Choose another port."
    return OptionError(f"{shorten(host, 80)}, port {port}, can't be used: {error.strerror}.{advice}")


def accept_pending(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the system has already established; it establishes no new ones."""
    _ignore_new_connections(listener)
    with contextlib.suppress(OSError):
        while True:
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            yield accepted


def _ignore_new_connections(listener: socket.socket) -> None:
    """Ignore connection attempts; clients repeat them, and are refused once the socket is closed.

    A connection that is established between the last ``accept`` and the closing of the socket would be reset,
    and its client could not tell whether its request was processed.
    """
    with contextlib.suppress(OSError):
        listener.listen(0)  # reduces the queue to one connection, on every system
        if sys.platform == "linux":  # a filter that drops every packet
            instruction = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
            program = struct.pack("HP", 1, ctypes.addressof(instruction))
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def raise_file_limit(connections: int) -> None:
    """Raise the limit on open files to what the connections need; `OptionError` if that is not allowed."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * connections + _SPARE_FILES  # a connection that gets 429 needs a file too
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OptionError(
            f"max_connections={connections} needs {needed} open files, but this process may have {hard}. "
            f"Set it to at most {max(1, (hard - _SPARE_FILES) // 2)}, or raise the limit with "
            f"'ulimit -n {needed}' or LimitNOFILE={needed} in the systemd unit."
        )
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
