"""The door: an address, who has knocked at it, and as many open files as there may be clients."""

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
_SO_ATTACH_FILTER = 26  # Linux' number, which Python has no name for
_BPF_RETURN = 0x06


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address that does not listen yet; raises `OptionError` saying what is in the way."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise OptionError(f"host={shorten(host, 80)!r} is no address of this machine: {error}.") from error
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise explain(error, host, port) from error
    return listener


def explain(error: OSError, host: str, port: int) -> OptionError:
    """The error that says why nobody can listen at an address."""
    where = f"{shorten(host, 80)}, port {port}"
    if error.errno == errno.EADDRINUSE:
        return OptionError(f"{where} is taken by another program; choose another port.")
    if error.errno == errno.EACCES:
        return OptionError(f"{where} may not be used; choose a port above 1023.")
    return OptionError(f"{where} cannot be used: {error.strerror}.")


def accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the system has made for us and nobody has taken yet; it makes no more of them."""
    _turn_newcomers_away(listener)
    with contextlib.suppress(OSError):
        while True:
            arrived, _ = listener.accept()
            arrived.setblocking(False)
            yield arrived


def _turn_newcomers_away(listener: socket.socket) -> None:
    """Have no more connections made. Those who come now try again, and are told then that nobody is here.

    A connection that is made after the last one was taken, and before the listener is closed, would be reset:
    its client cannot tell whether its request was worked on.
    """
    with contextlib.suppress(OSError):
        listener.listen(0)  # one more at a time, on every system
        if sys.platform == "linux":  # a filter that lets no packet in
            instruction = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
            program = struct.pack("HP", 1, ctypes.addressof(instruction))
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def raise_file_limit(connections: int) -> None:
    """Let the process have as many open files as there may be connections; `OptionError` if it may not."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * connections + _SPARE_FILES  # those who are told that there are too many need one too
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OptionError(
            f"max_connections={connections} needs {needed} open files, and this process may have {hard}. "
            f"Set it to {max(1, (hard - _SPARE_FILES) // 2)} at most, or raise the limit: "
            f"ulimit -n {needed}, or LimitNOFILE={needed} in a unit of systemd."
        )
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
