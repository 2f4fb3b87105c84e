"""Decompressing and parsing bodies within limits on size, nesting and number of values."""

from __future__ import annotations

import asyncio
import base64
import gzip
import random
import threading
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.server.bodies import (
    MAX_GZIP_MEMBERS,
    decode_image_text,
    inflate,
    parse_json,
    parse_off_loop,
)
from pictag.server.http_errors import BadRequest, BodyTooLarge

MIB = 2**20


def allocated_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=20_000), st.integers(1, 50))
def test_compressed_data_round_trips(data: bytes, times: int) -> None:
    data *= times
    assert inflate(gzip.compress(data), "gzip", max_bytes=len(data)) == data
    assert inflate(zlib.compress(data), "deflate", max_bytes=len(data)) == data


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_decompression_bomb_is_decompressed_up_to_the_limit_only(encoding: str) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join([*(compressor.compress(bytes(MIB)) for _ in range(128)), compressor.flush()])

    def decompress() -> None:
        with pytest.raises(BodyTooLarge):
            inflate(bomb, encoding, max_bytes=MIB)

    assert len(bomb) < MIB // 4
    assert allocated_bytes(decompress) < 8 * MIB


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
def test_invalid_or_deeply_nested_json_is_a_bad_request(text: bytes) -> None:
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
def test_json_that_would_fill_the_memory_is_rejected_before_it_is_parsed(text: bytes) -> None:
    def parse() -> None:
        with pytest.raises(BadRequest):
            parse_json(text)

    assert allocated_bytes(parse) < MIB


def test_all_variants_of_base64_are_read() -> None:
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
def test_invalid_base64_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        decode_image_text(text)


def test_the_number_of_concatenated_gzip_files_is_limited() -> None:
    """zlib copies the rest of its input for each member: without a limit this would take an hour."""
    few = gzip.compress(b"x", mtime=0) * MAX_GZIP_MEMBERS
    assert inflate(few, "gzip", max_bytes=2**20) == b"x" * MAX_GZIP_MEMBERS
    many = gzip.compress(b"", mtime=0) * 1_600_000
    with pytest.raises(BadRequest, match=f"more than {MAX_GZIP_MEMBERS:,} concatenated"):
        inflate(many, "gzip", max_bytes=2**25)


@pytest.mark.parametrize("size", [0, 1, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16 + 7])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_data_longer_than_one_piece_is_decompressed_correctly(size: int, level: int) -> None:
    data = random.Random(size).randbytes(size)
    several = gzip.compress(data, level) + gzip.compress(b"tail", level)
    assert inflate(several, "gzip", max_bytes=2**20) == data + b"tail"
    assert inflate(zlib.compress(data, level), "deflate", max_bytes=2**20) == data
    for cut in (several[:-1], several[:-9], zlib.compress(data, level)[:-1]):
        encoding = "gzip" if cut[:2] == b"\x1f\x8b" else "deflate"
        with pytest.raises(BadRequest):
            inflate(cut, encoding, max_bytes=2**20)


def test_numbers_with_thousands_of_digits_are_rejected() -> None:
    assert parse_json(b"[12345678901234567890, -1.5e300]") == [12345678901234567890, -1.5e300]
    with pytest.raises(BadRequest, match="4,000 digits"):
        parse_json(b"[" + b"9" * 4000 + b"]")


def test_a_large_body_is_parsed_in_a_thread_while_the_event_loop_runs() -> None:
    small, large = b"[1]", b"[" + b"0.12345678," * 200_000 + b"1]"

    async def main() -> None:
        threads = [await parse_off_loop(len(body), threading.get_ident) for body in (small, large)]
        assert threads[0] == threading.get_ident() != threads[1]
        parsing = asyncio.ensure_future(parse_off_loop(len(large), lambda: parse_json(large)))
        rounds = 0
        while not parsing.done():
            rounds += 1
            await asyncio.sleep(0)
        assert rounds > 3
        assert len(parsing.result()) == 200_001

    asyncio.run(main())


def test_text_outside_ascii_is_not_valid_base64() -> None:
    with pytest.raises(BadRequest, match="The image is not valid base64"):
        decode_image_text("AAAA\u00e9" * 5)
