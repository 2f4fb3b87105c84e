"""Checks that a URL leads to the public internet, however its address is written."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Addresses as C libraries parse them: 127.1, 0x7f.1, 2130706433, 0177.0.0.1.
_NUMERIC_HOST = re.compile(r"[0-9a-fx.]+", re.IGNORECASE)

# Networks that `is_global` of Python 3.11 includes, although they don't hold public servers.
_SPECIAL_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
)
_SPECIAL_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments (Teredo, in it, is unwrapped first)
    IPv6Network("3fff::/20"),  # documentation
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")

# IPv6 prefixes whose last 32 bits are an IPv4 address.
_CARRY_V4 = (
    IPv6Network("::/96"),  # IPv4-compatible: ::127.0.0.1
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated
    IPv6Network("64:ff9b::/96"),  # NAT64
)
_ISATAP = (0x00005EFE, 0x02005EFE)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not (
        address.is_multicast or address.is_reserved or any(address in network for network in _SPECIAL_V4)
    )


def _is_public_v6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in _CARRY_V4):
        return _is_public_v4(last)
    if address.sixtofour is not None:
        return _is_public_v4(address.sixtofour)
    if address.teredo is not None:
        return all(_is_public_v4(end) for end in address.teredo)
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP and not _is_public_v4(last):
        return False
    return (
        address in _GLOBAL_UNICAST
        and address.is_global
        and not any(address in network for network in _SPECIAL_V6)
    )


def is_public(address: str) -> bool:
    """Whether an IP address, and any IPv4 address embedded in it, is on the public internet.

    IPv4 addresses embedded in IPv6 (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) are checked by
    themselves: Python 3.11 considers some of these forms of loopback "global".

    >>> is_public("93.184.216.34"), is_public("10.0.0.1"), is_public("64:ff9b::7f00:1")
    (True, False, False)
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _is_public_v4(parsed) if isinstance(parsed, IPv4Address) else _is_public_v6(parsed)


def read_literal(host: str) -> str | None:
    """The host's address if it is one, in any notation; ``None`` if it is a name.

    >>> read_literal("0x7f.1"), read_literal("2130706433"), read_literal("example.org")
    ('127.0.0.1', '127.0.0.1', None)
    """
    bare = host.rstrip(".")
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    if _NUMERIC_HOST.fullmatch(bare):
        try:
            return socket.inet_ntoa(socket.inet_aton(bare))
        except OSError:
            return None
    return None


def is_local_name(host: str) -> bool:
    """Whether a name always means this machine (RFC 6761)."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")
