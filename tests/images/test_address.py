"""Only addresses on the public internet are accepted, in any notation."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.images.address import is_local_name, is_public, read_literal

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:2800:220:1:248:1893:25c8:1946",
    "2a00:1450:4001:82a::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
REFUSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo whose client is 127.0.0.1
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2001:2::1",
    "3fff::1",
    "2606:2800:220:1:0:5efe:7f00:1",  # ISATAP
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
    "no address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_accepted(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", REFUSED)
def test_all_other_addresses_are_rejected(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0X7F.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("127.0.0.1.", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:7f00:1", "::ffff:7f00:1"),
        ("example.org", None),
        ("1.2.3.4.5", None),
        ("face.b00k", None),
        ("", None),
    ],
)
def test_numeric_hosts_are_parsed_like_the_system_does(host: str, address: str | None) -> None:
    found = read_literal(host)
    # As addresses: Python 3.13 writes ::ffff:7f00:1 with dots.
    assert (found and ip_address(found)) == (address and ip_address(address))


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("localhost..", True),
        ("localhost.example.org", False),
        ("mylocalhost", False),
    ],
)
def test_only_names_of_this_machine_are_local(host: str, is_local: bool) -> None:
    assert is_local_name(host) == is_local


@given(st.ip_addresses(v=4))
def test_an_embedded_ipv4_address_is_treated_like_itself(address: IPv4Address) -> None:
    number = int(address)
    public = is_public(str(address))
    assert is_public(f"::ffff:{address}") == public
    assert is_public(str(IPv6Address((0x64FF9B << 96) | number))) == public
    assert is_public(str(IPv6Address((0x2002 << 112) | (number << 80)))) == public
    assert read_literal(str(number)) == str(address)
    assert read_literal(hex(number)) == str(address)


@given(st.ip_addresses(v=6))
def test_ipv6_outside_global_unicast_is_public_only_if_its_ipv4_part_is(address: IPv6Address) -> None:
    if is_public(str(address)) and int(address) >> 125 != 1:
        assert is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
