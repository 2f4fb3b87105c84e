"""An image's size from its header, in microseconds and without a decoder: for deciding whether to begin.

What is read here is a forecast. The decoder reads the header for itself, and what it finds counts.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from pictag.errors import CorruptImage
from pictag.images import sniff
from pictag.images.av1 import frame_sizes

_MOST_SEGMENTS = 256  # before a JPEG's frame header; cameras write about ten
_MOST_SIZES = 256
_MOST_TAGS = 4096  # as libtiff
_MOST_PARTS = 1000  # of an AVIF; a hundred tiles have as many, and to look at them takes 10 ms
_BOX_BYTES = 65_536  # HEIC and AVIF describe themselves before their pixels
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WEBP_HEADER_BYTES = 30
_WIDTH, _LENGTH, _TILE_WIDTH, _TILE_LENGTH = _SIDES = 256, 257, 322, 323
# The types of TIFF that libtiff takes for a side; Pillow does not know the last two.
_WHOLE = {1: "B", 6: "B", 3: "H", 8: "H", 4: "I", 9: "I", 13: "I", 16: "Q", 17: "Q", 18: "Q"}


def read_size(data: bytes) -> tuple[int, int] | None:
    """Width and height as an encoded image's header states them, ``None`` where that cannot be told.

    >>> read_size(b"GIF89a" + bytes([2, 0, 3, 0]))
    (2, 3)
    """
    form = sniff.recognise(data[: sniff.HEAD_BYTES])
    reader = None if form is None else _READERS.get(form.name)
    try:
        return None if reader is None else reader(data)
    except (struct.error, IndexError, OverflowError):  # cut off, or offsets of no meaning
        return None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a WebP header: Pillow allocates the canvas when it opens the file."""
    kind, body = data[12:16], data[20:_WEBP_HEADER_BYTES]
    if len(data) < _WEBP_HEADER_BYTES:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int] | None:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = 2
    for _ in range(_MOST_SEGMENTS):
        place = data.find(b"\xff", place, place + 4096)
        if place < 0:
            return None
        marker = data[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        if marker in (0x00, 0xFF):  # no marker, or its padding
            place += 1
        elif marker in _NO_LENGTH:
            place += 2
        else:
            place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return None


def tile_size(stream: BinaryIO) -> tuple[int, int]:
    """Width and length of a TIFF's tiles as libtiff would find them; 0×0 where it has none.

    Pillow passes over types of numbers that libtiff reads, and of a tag that is there twice each takes one:
    here it is the largest that counts.
    """
    sides = _tiff_sides(stream)
    return sides.get(_TILE_WIDTH, 0), sides.get(_TILE_LENGTH, 0)


def _tiff_sides(stream: BinaryIO) -> dict[int, int]:
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    if 43 in head[2:4]:  # BigTIFF
        (place,) = struct.unpack_from(order + "Q", head, 8)
        counted, entry = struct.Struct(order + "Q"), struct.Struct(order + "HHQ8s")
    else:
        (place,) = struct.unpack_from(order + "I", head, 4)
        counted, entry = struct.Struct(order + "H"), struct.Struct(order + "HHI4s")
    stream.seek(place)
    (count,) = counted.unpack(stream.read(counted.size))
    table = stream.read(entry.size * min(count, _MOST_TAGS))
    sides: dict[int, int] = {}
    for tag, kind, _, value in entry.iter_unpack(table[: len(table) // entry.size * entry.size]):
        if tag not in _SIDES or kind not in _WHOLE:
            continue
        number = struct.Struct(order + _WHOLE[kind])
        if number.size > len(value):  # it lies elsewhere
            stream.seek(*struct.unpack(order + "I", value))
            value = stream.read(number.size)  # noqa: PLW2901 - its place held where it lies
        if number.size <= len(value):
            sides[tag] = max(sides.get(tag, 0), *number.unpack_from(value))
    return sides


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    sides = _tiff_sides(io.BytesIO(data))
    if _WIDTH not in sides or _LENGTH not in sides:
        return None
    # Tiles are decoded as a whole, however little of them the image shows.
    return max(sides[_WIDTH], sides.get(_TILE_WIDTH, 0)), max(sides[_LENGTH], sides.get(_TILE_LENGTH, 0))


def _box_size(data: bytes) -> tuple[int, int] | None:
    """The largest image that an AVIF or HEIC file announces: tiles and thumbnails are smaller."""
    sizes: list[tuple[int, int]] = []
    place = data.find(b"ispe", 0, _BOX_BYTES)
    while place >= 0 and len(sizes) < _MOST_SIZES:
        width, height = struct.unpack_from(">II", data, place + 8)
        sizes.append((width, height))
        place = data.find(b"ispe", place + 4, _BOX_BYTES)
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _avif_size(data: bytes) -> tuple[int, int] | None:
    """The largest that is announced or coded, whichever is more: the decoder goes by the latter."""
    announced = _box_size(data)
    if announced is None:
        return None
    try:
        sizes = frame_sizes(data, most_parts=_MOST_PARTS)
        return max([announced, *sizes], key=lambda size: size[0] * size[1])
    except CorruptImage:
        return None


_READERS = {
    "JPEG": _jpeg_size,
    "PNG": _png_size,
    "WebP": webp_size,
    "GIF": _gif_size,
    "BMP": _bmp_size,
    "TIFF": _tiff_size,
    "AVIF": _avif_size,
    "HEIC": _box_size,
}
