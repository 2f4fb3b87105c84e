"""A picture's size from its header, in microseconds and without a decoder: for deciding whether to begin.

What is read here is a forecast. The decoder reads the header for itself, and what it finds counts.
"""

from __future__ import annotations

import struct

from pictag.images import sniff

_MOST_SEGMENTS = 256  # before a JPEG's frame header; cameras write about ten
_MOST_TAGS = 256
_BOX_BYTES = 65_536  # HEIC and AVIF describe themselves before their pixels
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WEBP_HEADER_BYTES = 30


def read_size(data: bytes) -> tuple[int, int] | None:
    """Width and height as an encoded picture's header states them, ``None`` where that cannot be told.

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


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:  # BigTIFF
        (place,) = struct.unpack_from(order + "Q", data, 8)
        (count,) = struct.unpack_from(order + "Q", data, place)
        place, entry, value_at, long_value = place + 8, 20, 12, "Q"
    else:
        (place,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, place)
        place, entry, value_at, long_value = place + 2, 12, 8, "I"
    sides: dict[int, int] = {}
    for index in range(min(count, _MOST_TAGS)):
        at = place + index * entry
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in (256, 257, 322, 323):
            form = {1: "B", 3: "H", 4: "I"}.get(kind, long_value)
            (sides[tag],) = struct.unpack_from(order + form, data, at + value_at)
    if 256 not in sides or 257 not in sides:
        return None
    picture, tile = (sides[256], sides[257]), (sides.get(322, 0), sides.get(323, 0))
    # A tile is decoded as a whole, however little of it the picture shows.
    return max(picture, tile, key=lambda size: size[0] * size[1])


def _box_size(data: bytes) -> tuple[int, int] | None:
    """The largest picture that an AVIF or HEIC file announces: tiles and thumbnails are smaller."""
    sizes: list[tuple[int, int]] = []
    place = data.find(b"ispe", 0, _BOX_BYTES)
    while place >= 0 and len(sizes) < _MOST_TAGS:
        width, height = struct.unpack_from(">II", data, place + 8)
        sizes.append((width, height))
        place = data.find(b"ispe", place + 4, _BOX_BYTES)
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


_READERS = {
    "JPEG": _jpeg_size,
    "PNG": _png_size,
    "WebP": webp_size,
    "GIF": _gif_size,
    "BMP": _bmp_size,
    "TIFF": _tiff_size,
    "AVIF": _box_size,
    "HEIC": _box_size,
}
