"""Read a TIFF's tags: small integers only, and without a decoder."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import BinaryIO

Tags = dict[int, tuple[int, ...]]
SUBFILE, OLD_SUBFILE, SUB_DIRECTORIES, MAKE, DNG_VERSION = 254, 255, 330, 271, 50706
WIDTH, LENGTH, TILE_WIDTH, TILE_LENGTH = SIDES = 256, 257, 322, 323
BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, SAMPLE_FORMAT = 258, 259, 262, 277, 339
STRIP_OFFSETS, TILE_OFFSETS, PLANES, COLOUR_MAP = 273, 324, 284, 320
BROKEN = (struct.error, OverflowError, OSError)
"""What reading raises for files that are truncated, or whose offsets lead out of them."""

_KNOWN = frozenset((
    SUBFILE, OLD_SUBFILE, SUB_DIRECTORIES, MAKE, DNG_VERSION, *SIDES, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES,
    SAMPLE_FORMAT, STRIP_OFFSETS, TILE_OFFSETS, PLANES,
))  # fmt: skip
_MAX_TAGS = 4096  # libtiff's own limit
_MAX_DIRECTORIES = 16  # a camera raw file has fewer; of a long document, the first pages are enough
_MAX_VALUES = 64
# The number types that libtiff accepts for these tags. Pillow doesn't know the last two.
_INTEGERS = {1: "B", 6: "B", 3: "H", 8: "H", 4: "I", 9: "I", 13: "I", 16: "Q", 17: "Q", 18: "Q"}
_TEXT = {2: "B"}


def first_value(tags: Tags, tag: int, default: int = 0) -> int:
    """The first of a tag's values, or the default if the tag is missing."""
    values = tags.get(tag)
    return values[0] if values else default


def read_directories(stream: BinaryIO) -> Iterator[Tags]:
    """The tags of the file's first images, in breadth: each image, its sub-images, the next image.

    Images whose tags can't be read are left out.
    """
    waiting: list[int | None] = [None]
    seen: set[int | None] = set()
    while waiting and len(seen) < _MAX_DIRECTORIES:
        place = waiting.pop(0)
        if place == 0 or place in seen:
            continue
        seen.add(place)
        try:
            tags, following = read_directory(stream, place)
        except BROKEN:
            if place is None:
                return
            continue
        yield tags
        waiting += [*tags.get(SUB_DIRECTORIES, ()), following]


def read_directory(
    stream: BinaryIO, place: int | None = None, wanted: Collection[int] = _KNOWN
) -> tuple[Tags, int]:
    """The tags of the image at ``place``, by default the first, and the place of the next image (0: none).

    Pillow ignores some number types that libtiff reads, and the two differ in which of two equal tags they
    use. The largest value counts here. Raises one of `BROKEN`.
    """
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = 43 in head[2:4]
    offset = struct.Struct(order + ("Q" if is_big else "I"))
    counted = struct.Struct(order + ("Q" if is_big else "H"))
    entry = struct.Struct(order + ("HHQ8s" if is_big else "HHI4s"))
    if place is None:
        (place,) = offset.unpack_from(head, 8 if is_big else 4)
    stream.seek(place)
    (count,) = counted.unpack(stream.read(counted.size))
    table = stream.read(entry.size * min(count, _MAX_TAGS))
    following = stream.read(offset.size)
    tags: Tags = {}
    for tag, kind, values, value in entry.iter_unpack(table[: len(table) // entry.size * entry.size]):
        types = _TEXT if tag == MAKE else _INTEGERS
        if tag not in wanted or kind not in types:
            continue
        number = struct.Struct(order + types[kind])
        size = number.size * (1 if tag in SIDES else min(values, _MAX_VALUES))
        if size > len(value):  # the entry holds its offset instead
            try:
                stream.seek(*offset.unpack(value))
                value = stream.read(size)  # noqa: PLW2901 - the value instead of its offset
            except BROKEN:
                continue
        whole = min(size, len(value)) // number.size * number.size
        found = tuple(n for (n,) in number.iter_unpack(value[:whole]))
        if found:
            tags[tag] = max(tags.get(tag, ()), found)
    return tags, offset.unpack(following)[0] if len(following) == offset.size else 0
