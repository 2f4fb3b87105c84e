"""Reading what a client sends: never more, never longer and never deeper than allowed."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NoReturn, TypeVar

from pictag.errors import shorten
from pictag.images.source import decode_base64
from pictag.server.refusals import BadRequest, BodyTooLarge, BodyTooSlow

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_MEMBERS = 10_000  # names in all objects of one JSON body: a request has about ten
MAX_NUMBERS = 2_000_000  # 13 tensors of 3×224×224; a number takes 32 bytes in memory, and 4 in a binary tail
MAX_MEMBERS_OF_GZIP = 1000  # files that follow each other in one body
_MAX_LISTS = 100_000
_MAX_QUOTES = 4 * MAX_MEMBERS  # round each name, and round its value
_INFLATE_STEP = 2**16
_INLINE_BYTES = 2**16  # what is decompressed or parsed faster than a thread is woken
_DIGITS = 500  # of a whole number: a float has up to 309, and long ones take their time
# zlib's numbers for the two wrappings, and for the bare stream that some clients call deflate.
_GZIP, _ZLIB, _BARE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


class ClientLeft(Exception):
    """The connection was closed before the request was complete: there is nobody to answer."""


async def read_body(
    receive: Receive, *, announced: str | None, encoding: str | None, max_bytes: int, timeout_s: float
) -> bytes:
    """The whole body, decompressed where it came compressed.

    ``announced`` is the Content-Length, ``encoding`` the Content-Encoding. Raises `BodyTooLarge` as soon as
    more than ``max_bytes`` are announced, sent or unfolded, `BodyTooSlow` when it is not complete after
    ``timeout_s``, `BadRequest` where it cannot be decompressed, and `ClientLeft`.
    """
    if announced is not None and announced.isdecimal() and int(announced[:19]) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            message = await _next(receive)
            body = message.get("body", b"")
            if message.get("more_body", False):
                body = await _read_rest(receive, bytearray(body), max_bytes)
    except TimeoutError as error:
        raise _too_slow(timeout_s) from error
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    if encoding is None or (name := encoding.strip().lower()) in ("", "identity"):
        return bytes(body)
    if len(body) <= _INLINE_BYTES:
        return inflate(bytes(body), name, max_bytes=max_bytes)
    return await asyncio.to_thread(inflate, bytes(body), name, max_bytes=max_bytes)


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message


async def _read_rest(receive: Receive, body: bytearray, max_bytes: int) -> bytearray:
    more = True
    while more:
        message = await _next(receive)
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has more than {max_bytes:,} bytes, which is the limit.")


def _too_slow(timeout_s: float) -> BodyTooSlow:
    return BodyTooSlow(f"The body was not complete after {timeout_s:g} s.")


def inflate(data: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """What a body in gzip or deflate unfolds to; a bomb unfolds to one byte above the limit at most.

    >>> inflate(zlib.compress(b"image"), "deflate", max_bytes=100)
    b'image'
    """
    if encoding in ("gzip", "x-gzip"):
        wrapping = _GZIP
    elif encoding == "deflate":
        wrapping = _ZLIB if data[:1] and data[0] & 15 == 8 else _BARE
    else:
        raise BadRequest(
            f"Content-Encoding {shorten(encoding, 40)!r} is not read; send gzip, deflate or plain bytes."
        )
    try:
        return bytes(_unfold(memoryview(data), encoding, wrapping, max_bytes))
    except zlib.error as error:
        raise BadRequest(f"The body is no valid {encoding}: {error}.") from error


def _unfold(data: memoryview, encoding: str, wrapping: int, max_bytes: int) -> bytearray:
    body = bytearray()
    at = members = 0
    while at < len(data):  # gzip files may follow each other
        members += 1
        if members > MAX_MEMBERS_OF_GZIP:
            raise BadRequest(f"The body has more than {MAX_MEMBERS_OF_GZIP:,} files in {encoding}.")
        inflater = zlib.decompressobj(wrapping)
        while not inflater.eof:
            # A piece at a time: what is not used of it is copied.
            piece = data[at : at + _INFLATE_STEP]
            made = inflater.decompress(piece, min(_INFLATE_STEP, max_bytes + 1 - len(body)))
            body += made
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            if not piece and not made and not inflater.eof:
                raise BadRequest(f"The body in {encoding} was cut off.")
            at += len(piece) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
        if wrapping != _GZIP:
            break
    return body


async def parse_aside(json_bytes: int, parse: Callable[[], T]) -> T:
    """What ``parse`` gives; in a thread where so much JSON is in it that others would wait to be answered."""
    return parse() if json_bytes <= _INLINE_BYTES else await asyncio.to_thread(parse)


def parse_json(data: bytes, *, max_numbers: int = MAX_NUMBERS) -> Any:
    """The value of a JSON body.

    What a few bytes would make a lot of (nesting, empty lists, names) is counted before anything is built.
    Raises `BadRequest`, also for ``NaN`` and ``Infinity``, which are no JSON.

    >>> parse_json(b'{"top_k": 3}')
    {'top_k': 3}
    """
    if data.count(b"[") + data.count(b"{") > _MAX_LISTS or data.count(b":") > MAX_MEMBERS:
        raise BadRequest("The JSON body has more lists and objects than any request needs.")
    if data.count(b'"') > _MAX_QUOTES:  # between texts nobody else gets a turn, as between numbers
        raise BadRequest("The JSON body has more texts than any request needs.")
    if data.count(b",") > max_numbers:
        raise BadRequest(
            f"The JSON body has more than {max_numbers:,} values. Send large tensors as binary data."
        )
    try:
        # The hooks are Python's own code: between two numbers, other threads get their turn.
        return json.loads(data, parse_constant=_refuse_constant, parse_float=_read_float, parse_int=_read_int)
    except RecursionError as error:
        raise BadRequest("The JSON body is nested deeper than any request needs.") from error
    except ValueError as error:
        if isinstance(error, BadRequest):
            raise
        raise BadRequest(f"The body is no valid JSON: {shorten(error)}.") from error


def _read_float(text: str) -> float:
    return float(text)


def _read_int(text: str) -> int:
    if len(text) > _DIGITS:
        raise BadRequest(f"The JSON body has a number of {len(text):,} digits.")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is no valid JSON: there is no {name} in it.")


def decode_image_text(text: str) -> bytes:
    """The bytes of an image that was sent as base64 text or as a ``data:`` URL; raises `BadRequest`."""
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().rstrip().endswith(";base64"):
            raise BadRequest("The data: URL is not in base64: data:image/png;base64,… is its form.")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:  # white space, URL-safe letters, or padding that was left out
        try:
            data = decode_base64(text)
        except ValueError as error:
            why = str(error) if text.isascii() else "no valid base64: it has letters that base64 has not"
            raise BadRequest(f"The image is {why}.") from error
    if not data:
        raise BadRequest("The image is empty.")
    return data
