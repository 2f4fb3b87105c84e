from __future__ import annotations

import socket
import sys

import pytest

from pictag.errors import OptionError
from pictag.server.sockets import accept_pending, bind, raise_file_limit


@pytest.mark.parametrize("host", ["198.51.100.7", "no such host", "host.invalid", "\udcff"])
def test_an_address_of_another_machine_is_an_error(host: str) -> None:
    with pytest.raises(OptionError, match=r"can't be used|not an address"):
        bind(host, 0)


def test_a_bound_socket_refuses_connections_until_it_listens() -> None:
    with bind("127.0.0.1", 0) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname()[:2], timeout=5)


def test_host_names_and_ipv6_addresses_can_be_bound() -> None:
    with bind("localhost", 0) as listener:
        assert listener.getsockname()[1] > 0
    if socket.has_ipv6:
        try:
            with bind("::1", 0) as listener:
                assert listener.family == socket.AF_INET6
        except OptionError:
            pytest.skip("this machine has no IPv6")


def test_all_pending_connections_are_accepted() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen(10)
        listener.setblocking(False)
        clients = [socket.create_connection(listener.getsockname(), timeout=5) for _ in range(5)]
        arrived = list(accept_pending(listener))
        assert {sock.getpeername() for sock in arrived} == {client.getsockname() for client in clients}
        for sock in [*clients, *arrived]:
            sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="uses a socket filter of Linux")
def test_later_connections_are_ignored_rather_than_reset() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen(10)
        listener.setblocking(False)
        assert list(accept_pending(listener)) == []
        for _ in range(3):
            with socket.socket() as client:
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):  # the system would repeat the attempt
                    client.connect(listener.getsockname())
        assert list(accept_pending(listener)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_more_connections_than_open_files_are_an_error() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, before[1]))
        raise_file_limit(500)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1256, before[1])
        if before[1] != resource.RLIM_INFINITY:
            with pytest.raises(OptionError, match=f"open files, but this process may have {before[1]}"):
                raise_file_limit(before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
