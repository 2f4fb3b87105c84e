"""Decompressing and parsing request bodies within limits on size, nesting and number of values."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from pictag.errors import shorten
from pictag.images.source import decode_base64
from pictag.server.http_errors import BadRequest, BodyTooLarge

T = TypeVar("T")

MAX_MEMBERS = 10_000  # of all objects in a JSON body; a real request has about ten
MAX_NUMBERS = 2_000_000  # 13 tensors of 3×224×224; each takes 32 bytes in memory, 4 as binary data
MAX_GZIP_MEMBERS = 1000  # concatenated gzip files in one body
_MAX_LISTS = 100_000
_MAX_QUOTES = 4 * MAX_MEMBERS  # around each name and its value
_INFLATE_STEP = 2**16
INLINE_BYTES = 2**16  # decompressing or parsing less than this is faster than waking a thread
_MAX_DIGITS = 500  # of an integer; a float has at most 309, and conversion takes quadratic time
# zlib's constants for the two formats, and for the raw stream that some clients call deflate.
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


def inflate(data: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """The decompressed body in gzip or deflate; at most one byte more than the limit is decompressed.

    >>> inflate(zlib.compress(b"image"), "deflate", max_bytes=100)
    b'image'
    """
    if encoding in ("gzip", "x-gzip"):
        window_bits = _GZIP
    elif encoding == "deflate":
        window_bits = _ZLIB if data[:1] and data[0] & 15 == 8 else _RAW
    else:
        raise BadRequest(
            f"Content-Encoding {shorten(encoding, 40)!r} is not supported. Use gzip, deflate or no encoding."
        )
    try:
        return bytes(_decompress(memoryview(data), encoding, window_bits, max_bytes))
    except zlib.error as error:
        raise BadRequest(f"The body is not valid {encoding}: {error}.") from error


def _decompress(data: memoryview, encoding: str, window_bits: int, max_bytes: int) -> bytearray:
    body = bytearray()
    at = members = 0
    while at < len(data):  # gzip files may be concatenated
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise BadRequest(f"The body has more than {MAX_GZIP_MEMBERS:,} concatenated {encoding} files.")
        inflater = zlib.decompressobj(window_bits)
        while not inflater.eof:
            # Piece by piece, since zlib copies what it doesn't use.
            piece = data[at : at + _INFLATE_STEP]
            made = inflater.decompress(piece, min(_INFLATE_STEP, max_bytes + 1 - len(body)))
            body += made
            if len(body) > max_bytes:
                raise BodyTooLarge.above(max_bytes)
            if not piece and not made and not inflater.eof:
                raise BadRequest(f"The {encoding} body is cut off.")
            at += len(piece) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
        if window_bits != _GZIP:
            break
    return body


async def parse_off_loop(json_bytes: int, parse: Callable[[], T]) -> T:
    """The result of ``parse``, called in a thread if so much JSON would block the event loop."""
    return parse() if json_bytes <= INLINE_BYTES else await asyncio.to_thread(parse)


def parse_json(data: bytes, *, max_numbers: int = MAX_NUMBERS) -> Any:
    """The value of a JSON body.

    Things that need much more memory than bytes (lists, objects, names) are counted before parsing. Raises
    `BadRequest`, also for ``NaN`` and ``Infinity``, which JSON doesn't have.

    >>> parse_json(b'{"top_k": 3}')
    {'top_k': 3}
    """
    if data.count(b"[") + data.count(b"{") > _MAX_LISTS or data.count(b":") > MAX_MEMBERS:
        raise BadRequest("The JSON body has more lists and objects than any request needs.")
    if data.count(b'"') > _MAX_QUOTES:  # other threads can't run while strings are parsed, see below
        raise BadRequest("The JSON body has more strings than any request needs.")
    if data.count(b",") > max_numbers:
        raise BadRequest(
            f"The JSON body has more than {max_numbers:,} values. Send large tensors as binary data."
        )
    try:
        # These hooks are Python code, so that other threads can run between two numbers.
        return json.loads(data, parse_constant=_refuse_constant, parse_float=_read_float, parse_int=_read_int)
    except RecursionError as error:
        raise BadRequest("The JSON body is nested too deeply.") from error
    except ValueError as error:
        if isinstance(error, BadRequest):
            raise
        raise BadRequest(f"The body is not valid JSON: {shorten(error)}.") from error


def _read_float(text: str) -> float:
    return float(text)


def _read_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise BadRequest(f"The JSON body has a number with {len(text):,} digits.")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not valid JSON: {name} is not allowed.")


def decode_image_text(text: str) -> bytes:
    """The bytes of an image in base64 or a ``data:`` URL; raises `BadRequest`."""
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().rstrip().endswith(";base64"):
            raise BadRequest("The data: URL is not in base64. Use data:image/png;base64,…")
    try:
        data = decode_base64(text)
    except ValueError as error:
        raise BadRequest("The image is not valid base64.") from error
    if not data:
        raise BadRequest("The image is empty.")
    return data
