"""Reading what a client sends: never more, never longer and never deeper than allowed."""

from __future__ import annotations

import asyncio
import base64
import gzip
import random
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.server.bodies import (
    MAX_MEMBERS_OF_GZIP,
    ClientLeft,
    decode_image_text,
    inflate,
    parse_aside,
    parse_json,
    read_body,
)
from pictag.server.refusals import BadRequest, BodyTooLarge, BodyTooSlow

MIB = 2**20


def read(
    *parts: bytes | None,
    announced: str | None = None,
    encoding: str | None = None,
    max_bytes: int = 100,
    pause_s: float = 0,
    timeout_s: float = 5,
) -> tuple[bytes, int]:
    """The body that comes in these parts (``None``: the client leaves), and how many parts were asked for."""
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        await asyncio.sleep(pause_s)
        asked += 1
        part = parts[asked - 1]
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": asked < len(parts)}

    body = asyncio.run(
        read_body(receive, announced=announced, encoding=encoding, max_bytes=max_bytes, timeout_s=timeout_s)
    )
    return body, asked


def allocated_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_body_comes_in_any_number_of_parts() -> None:
    assert read(b"one") == (b"one", 1)
    assert read(b"", b"one", b"", b"two", b"") == (b"onetwo", 5)
    assert read(b"x" * 100, announced="100")[0] == b"x" * 100


@pytest.mark.parametrize("announced", ["101", "10000000000", "9" * 500])
def test_a_body_that_announces_too_much_is_refused(announced: str) -> None:
    with pytest.raises(BodyTooLarge, match="more than 100 bytes"):
        read(b"x", announced=announced)


def test_an_endless_body_is_refused_when_it_passes_the_limit() -> None:
    with pytest.raises(BodyTooLarge):
        read(*[b"x" * 10] * 1000)


def test_a_slow_body_is_refused_after_its_time() -> None:
    begin = time.monotonic()
    with pytest.raises(BodyTooSlow, match=r"after 0\.2 s"):
        read(*[b"x"] * 50, pause_s=0.03, timeout_s=0.2)
    assert time.monotonic() - begin < 5
    with pytest.raises(BodyTooSlow):
        read(b"x", pause_s=2, timeout_s=0.1)


@pytest.mark.parametrize("parts", [(None,), (b"x", None), (b"x", b"x", None)])
def test_a_client_that_leaves_is_noticed(parts: tuple[bytes | None, ...]) -> None:
    with pytest.raises(ClientLeft):
        read(*parts)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"payload", mtime=0)),
        ("GZIP", gzip.compress(b"pay", mtime=0) + gzip.compress(b"load", mtime=0)),
        ("x-gzip", gzip.compress(b"payload", mtime=0)),
        ("deflate", zlib.compress(b"payload")),
        ("deflate", zlib.compress(b"payload")[2:-4]),
        ("identity", b"payload"),
        ("", b"payload"),
    ],
)
def test_a_compressed_body_is_unfolded(encoding: str, packed: bytes) -> None:
    assert read(packed, encoding=encoding)[0] == b"payload"


@given(st.binary(max_size=20_000), st.integers(1, 50))
def test_what_was_compressed_comes_back(data: bytes, times: int) -> None:
    data *= times
    assert inflate(gzip.compress(data), "gzip", max_bytes=len(data)) == data
    assert inflate(zlib.compress(data), "deflate", max_bytes=len(data)) == data


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_unfolds_to_the_limit_and_no_further(encoding: str) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join([*(compressor.compress(bytes(MIB)) for _ in range(128)), compressor.flush()])

    def unfold() -> None:
        with pytest.raises(BodyTooLarge):
            inflate(bomb, encoding, max_bytes=MIB)

    assert len(bomb) < MIB // 4
    assert allocated_bytes(unfold) < 8 * MIB


@pytest.mark.parametrize(
    ("encoding", "packed", "message"),
    [
        ("gzip", gzip.compress(b"payload", mtime=0)[:-1], "cut off"),
        ("gzip", gzip.compress(b"payload" * 99, mtime=0)[:20], "cut off"),
        ("deflate", b"", None),
        ("gzip", b"no gzip", "no valid gzip"),
        ("gzip", gzip.compress(b"payload", mtime=0) + b"tail", "no valid gzip"),
        ("br", b"x", "Content-Encoding 'br'"),
        ("gzip, gzip", b"x", "Content-Encoding"),
    ],
)
def test_a_body_that_cannot_be_unfolded_is_a_bad_request(
    encoding: str, packed: bytes, message: str | None
) -> None:
    if message is None:
        assert read(packed, encoding=encoding)[0] == b""
        return
    with pytest.raises(BadRequest, match=message):
        read(packed, encoding=encoding)


def test_json_is_read_with_all_its_kinds() -> None:
    assert parse_json('{"a": [1, 2.5, true, null, "ü"]}'.encode()) == {"a": [1, 2.5, True, None, "ü"]}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"NaN",
        b'{"top_k": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b'"\xff"',
        b"1" * 5000,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 990 + b"]" * 990,
        b"\x00",
        "[1]".encode("utf-16")[:-1],
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_json_or_nested_deep_is_a_bad_request(text: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 4_000_000 + b"1]",
        b"[" + b"{}," * 4_000_000 + b"1]",
        b"[" + b"0," * 8_000_000 + b"0]",
        b"{" + b",".join(b'"%d":0' % i for i in range(1_000_000)) + b"}",
        b"[" * 8_000_000,
        b"[" + b'"AAAA",' * 1_900_000 + b'""]',
    ],
    ids=["lists", "objects", "numbers", "members", "depth", "texts"],
)
def test_json_that_would_fill_the_memory_is_refused_before_anything_is_built(text: bytes) -> None:
    def parse() -> None:
        with pytest.raises(BadRequest):
            parse_json(text)

    assert allocated_bytes(parse) < MIB


def test_images_in_base64_are_read_as_all_clients_write_them() -> None:
    data = bytes(range(256)) * 3
    text = base64.b64encode(data).decode()
    lines = base64.encodebytes(data).decode()
    for written in (
        text,
        lines,
        text.rstrip("="),
        base64.urlsafe_b64encode(data).decode(),
        f"data:image/jpeg;base64,{text}",
        f"DATA:;BASE64,{text}",
    ):
        assert decode_image_text(written) == data


@pytest.mark.parametrize(
    "text", ["not base64!", "A", "ä", "AAAA\x00", "data:image/png,AAAA", "data:", "data:;base64,", " ", ""]
)
def test_bad_base64_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        decode_image_text(text)


def test_a_body_of_many_gzip_files_takes_no_longer_than_its_size() -> None:
    """Each used to copy the rest of the body: a megabyte took seconds."""
    few = gzip.compress(b"x", mtime=0) * MAX_MEMBERS_OF_GZIP
    assert inflate(few, "gzip", max_bytes=2**20) == b"x" * MAX_MEMBERS_OF_GZIP
    many = gzip.compress(b"", mtime=0) * 1_600_000
    started_s = time.process_time()
    with pytest.raises(BadRequest, match=f"more than {MAX_MEMBERS_OF_GZIP:,} files"):
        inflate(many, "gzip", max_bytes=2**25)
    assert time.process_time() - started_s < 5  # it was of the order of an hour


@pytest.mark.parametrize("size", [0, 1, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16 + 7])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_what_is_longer_than_a_piece_unfolds_as_it_was(size: int, level: int) -> None:
    data = random.Random(size).randbytes(size)
    several = gzip.compress(data, level) + gzip.compress(b"tail", level)
    assert inflate(several, "gzip", max_bytes=2**20) == data + b"tail"
    assert inflate(zlib.compress(data, level), "deflate", max_bytes=2**20) == data
    for cut in (several[:-1], several[:-9], zlib.compress(data, level)[:-1]):
        encoding = "gzip" if cut[:2] == b"\x1f\x8b" else "deflate"
        with pytest.raises(BadRequest):
            inflate(cut, encoding, max_bytes=2**20)


def test_a_body_has_one_time_to_come_however_late_it_begins() -> None:
    clock = []

    async def receive() -> dict[str, Any]:
        clock.append(time.monotonic())
        await asyncio.sleep(0.25)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def main() -> None:
        with pytest.raises(BodyTooSlow):
            await read_body(receive, announced=None, encoding=None, max_bytes=100, timeout_s=0.3)

    asyncio.run(main())
    assert len(clock) <= 2  # there was a second limit, which began with the first byte


def test_numbers_of_thousands_of_digits_are_refused() -> None:
    assert parse_json(b"[12345678901234567890, -1.5e300]") == [12345678901234567890, -1.5e300]
    with pytest.raises(BadRequest, match="4,000 digits"):
        parse_json(b"[" + b"9" * 4000 + b"]")


def test_a_large_body_is_parsed_aside_and_the_loop_goes_on() -> None:
    small, large = b"[1]", b"[" + b"0.12345678," * 200_000 + b"1]"

    async def main() -> None:
        threads = [await parse_aside(len(body), threading.get_ident) for body in (small, large)]
        assert threads[0] == threading.get_ident() != threads[1]
        parsing = asyncio.ensure_future(parse_aside(len(large), lambda: parse_json(large)))
        rounds = 0
        while not parsing.done():
            rounds += 1
            await asyncio.sleep(0)
        assert rounds > 3
        assert len(parsing.result()) == 200_001

    asyncio.run(main())


def test_an_image_in_letters_that_base64_has_not_is_said_to_be_none() -> None:
    with pytest.raises(BadRequest, match=r"^The image is no valid base64"):
        decode_image_text("AAAA\u00e9" * 5)
