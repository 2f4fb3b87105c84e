"""Hostile XML is refused, and positions are those of the file."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pictag.errors import MetadataError
from pictag.metadata.xml_elements import MAX_BYTES, parse_xml
from sidecars import HOSTILE


@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_xml_is_refused_without_a_connection(data: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(MetadataError, match=r"a\.xmp"):
            parse_xml(data.replace(b"127.0.0.1:9", address.encode()), name="a.xmp")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_xml_of_the_largest_size_is_read() -> None:
    assert parse_xml(b"<a>" + b" " * (MAX_BYTES - 7) + b"</a>", name="a.xmp").name == ("", "a")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"<?xml version='1.0' encoding='utf-8'?>\r\n"])
def test_positions_are_those_of_the_bytes(start: bytes) -> None:
    text = "<r xmlns:p='urn:x'><!-- é😀 --><p:a b='1 > 0'>ü<c/></p:a ></r>"
    data = start + text.encode()
    root = parse_xml(data, name="a.xmp")
    [inner] = root.children
    assert data[inner.start : inner.inner] == b"<p:a b='1 > 0'>"
    assert data[inner.inner : inner.inner_end].decode() == "ü<c/>"
    assert data[inner.start : inner.end].endswith(b"</p:a >")
    assert (inner.name, inner.raw_name) == (("urn:x", "a"), b"p:a")
    assert inner.children[0].is_self_closing
    assert data[inner.children[0].start : inner.children[0].end] == b"<c/>"


def test_real_sidecars_are_read(shared: Path) -> None:
    for path in (shared / "xmp").glob("*.xmp"):
        assert parse_xml(path.read_bytes(), name=path.name).name == ("adobe:ns:meta/", "xmpmeta")
