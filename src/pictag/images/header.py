"""An image's size from its header, in microseconds and without a decoder.

Advisory only: the decoder re-reads the header, and its values are authoritative.
"""

from __future__ import annotations

import re
import struct
from itertools import islice

from pictag.errors import CorruptImage
from pictag.images import sniff
from pictag.images.jpeg import jpeg_size
from pictag.images.tiff import tiff_size

BOX_BYTES = 65_536
"""The start of an AVIF or HEIC file, in which its items are described."""
_MAX_ITEMS = 256  # more take 10 ms, in a server's event loop
_WEBP_HEADER_BYTES = 30
# The property box with an item's size. The lookahead keeps one match from hiding the next.
_ITEM_SIZE = re.compile(rb"ispe(?=.{4}(.{8}))", re.DOTALL)


def read_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from an encoded image's header, ``None`` if they can't be determined.

    >>> read_size(b"GIF89a" + bytes([2, 0, 3, 0]))
    (2, 3)
    """
    form = sniff.recognise(data[: sniff.HEAD_BYTES])
    reader = None if form is None else _READERS.get(form.name)
    try:
        return None if reader is None else reader(data)
    except (struct.error, IndexError, OverflowError, CorruptImage):  # truncated, or offsets outside the data
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


def largest_item(data: bytes) -> tuple[int, int] | None:
    """Width and height of the largest item that an AVIF or HEIC file announces.

    Tiles and thumbnails are smaller than the image. An item that is larger is decoded all the same.
    """
    found = islice(_ITEM_SIZE.finditer(data, 0, BOX_BYTES), _MAX_ITEMS)
    sizes = (struct.unpack(">II", match[1]) for match in found)
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _png_size(data: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int] | None:
    form = "<HH" if struct.unpack_from("<I", data, 14)[0] == 12 else "<ii"
    width, height = struct.unpack_from(form, data, 18)
    return abs(width), abs(height)


_READERS = {
    "JPEG": jpeg_size,
    "PNG": _png_size,
    "WebP": webp_size,
    "GIF": _gif_size,
    "BMP": _bmp_size,
    "TIFF": tiff_size,
    "AVIF": largest_item,
    "HEIC": largest_item,
}
