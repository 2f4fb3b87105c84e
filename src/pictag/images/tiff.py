"""TIFF tags: the image's size, and a limit on tiles that are larger than the image."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import ImageTooLarge, shorten

if TYPE_CHECKING:
    from pictag.images.limits import ImageLimits

_MAX_TAGS = 4096  # libtiff's own limit
_WIDTH, _LENGTH, _TILE_WIDTH, _TILE_LENGTH = _SIDES = 256, 257, 322, 323
# The number types that libtiff accepts for these tags. Pillow doesn't know the last two.
_INTEGERS = {1: "B", 6: "B", 3: "H", 8: "H", 4: "I", 9: "I", 13: "I", 16: "Q", 17: "Q", 18: "Q"}


def tiff_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that have to be decoded: a tile is decoded whole, even where it exceeds the image."""
    sides = _read_sides(io.BytesIO(data))
    if _WIDTH not in sides or _LENGTH not in sides:
        return None
    return max(sides[_WIDTH], sides.get(_TILE_WIDTH, 0)), max(sides[_LENGTH], sides.get(_TILE_LENGTH, 0))


def check_tiles(stream: BinaryIO, size: tuple[int, int], *, name: str, limits: ImageLimits) -> None:
    """Raise `ImageTooLarge` if a TIFF of ``size`` has more than ``limits.max_pixels`` in its tiles."""
    try:
        sides = _read_sides(stream)
    except (struct.error, OverflowError, OSError):  # truncated, or offsets outside the file
        return
    width, length = sides.get(_TILE_WIDTH, 0), sides.get(_TILE_LENGTH, 0)
    pixels = max(size[0], width) * max(size[1], length)
    if width and length and pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"{shorten(name)}: decoding its tiles of {width}×{length} takes {pixels:,} pixels; the limit is "
            f"{limits.max_pixels:,}. Save it with smaller tiles, or raise max_pixels."
        )


def _read_sides(stream: BinaryIO) -> dict[int, int]:
    """The tags for width, length and tile size that libtiff would find in the first image.

    Pillow ignores some number types that libtiff reads, and the two differ in which of two equal tags they
    use. The largest value counts here.
    """
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
    table = stream.read(entry.size * min(count, _MAX_TAGS))
    sides: dict[int, int] = {}
    for tag, kind, _, value in entry.iter_unpack(table[: len(table) // entry.size * entry.size]):
        if tag not in _SIDES or kind not in _INTEGERS:
            continue
        number = struct.Struct(order + _INTEGERS[kind])
        if number.size > len(value):  # the entry holds its offset instead
            stream.seek(*struct.unpack(order + "I", value))
            value = stream.read(number.size)  # noqa: PLW2901 - the value instead of its offset
        if number.size <= len(value):
            sides[tag] = max(sides.get(tag, 0), *number.unpack_from(value))
    return sides
