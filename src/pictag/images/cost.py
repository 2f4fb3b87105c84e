"""What an image costs beside its pixels: looked at before it is decoded, for no decoder can be stopped."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import CorruptImage, ImageTooLarge, shorten
from pictag.images.av1 import frame_sizes
from pictag.images.header import tile_size

if TYPE_CHECKING:
    from pictag.images.limits import ImageLimits

MOST_SCANS = 100
"""Of a JPEG. Programs write about ten; each costs a pass over all of the image, however little is in it."""
MOST_SEGMENTS = 10_000
"""Of a JPEG. Pillow goes through them one by one; photographs with a depth map in them have hundreds."""
MOST_PADDING_BYTES = 65_536
"""Before a JPEG's first scan, in all: Pillow goes through it byte by byte, and programs write none."""
MOST_LAYERS = 4
"""How often all of an AVIF's pixels may be coded: in colour, transparency, a thumbnail, a map of gains."""
_HEAD_BYTES = 65_536  # in which most images say how they come
_READ_BYTES = 256 * 2**20  # of larger files, only so much is looked at
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_START_OF_SCAN, _END = 0xDA, 0xD9
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
# Among the coded pixels: neither a byte 0xFF of theirs, nor a restart, nor padding.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def check_scans(stream: BinaryIO, *, name: str) -> None:
    """Raise `CorruptImage` for a JPEG of more than `MOST_SCANS` scans, `MOST_SEGMENTS`, or much padding.

    Only one that may have several scans is read to its end; what follows the image in its file is not
    looked at.
    """
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    try:
        if not _look_through(head)[1]:
            _look_through(head + stream.read(_READ_BYTES))
    except CorruptImage as error:
        raise CorruptImage(f"{shorten(name)}: {error}") from error


def count_scans(data: bytes) -> int:
    """The scans that a decoder would go through in a JPEG; raises `CorruptImage` as `check_scans` does."""
    return _look_through(data)[0]


def _look_through(data: bytes) -> tuple[int, bool]:
    """The scans in a JPEG's data, and whether a decoder ends with them whatever follows."""
    scans, segments, padding_bytes = 0, 0, 0
    place, components = 2, 0
    is_progressive = False
    try:
        # Between segments decoders skip what is none, too.
        while found := _MARKER.search(data, place):
            segments += 1
            padding_bytes += 0 if scans else found.start() - place
            if segments > MOST_SEGMENTS or padding_bytes > MOST_PADDING_BYTES:
                raise CorruptImage(
                    f"the file has more than {MOST_SEGMENTS:,} segments, or {MOST_PADDING_BYTES:,} bytes "
                    "between them. Save it anew."
                )
            place = found.end()
            marker = data[place - 1]
            if marker == _END:
                return scans, True
            if marker in _NO_LENGTH:
                continue
            if marker in _FRAMES:
                is_progressive = marker in _PROGRESSIVE
                components = data[place + 7]
            elif marker == _START_OF_SCAN:
                scans += 1
                if scans > MOST_SCANS:
                    raise CorruptImage(
                        f"the image comes in more than {MOST_SCANS} scans, and each takes a pass over all "
                        "of it. Save it anew."
                    )
                if not is_progressive and data[place + 2] >= components:
                    return scans, True  # all components at once
            place += int(struct.unpack_from(">H", data, place)[0])
    except (struct.error, IndexError):  # cut off
        pass
    return scans, False


def check_tiles(stream: BinaryIO, size: tuple[int, int], *, name: str, limits: ImageLimits) -> None:
    """Raise `ImageTooLarge` for a TIFF of ``size`` in whose tiles are more pixels than an image may have.

    A tile is decoded as a whole, however little of it the image shows.
    """
    try:
        width, length = tile_size(stream)
    except (struct.error, OverflowError, OSError):  # cut off, or offsets of no meaning
        return
    pixels = max(size[0], width) * max(size[1], length)
    if width and length and pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"{shorten(name)}: with its tiles of {width}×{length} there are {pixels:,} pixels to decode, the "
            f"limit is {limits.max_pixels:,}. Save it with smaller tiles, or raise max_pixels."
        )


def check_frames(stream: BinaryIO, *, name: str, limits: ImageLimits) -> None:
    """Raise `ImageTooLarge` for an AVIF whose frames are larger than an image may be, or too many.

    The decoder decodes them as they are coded, and shrinks them to what the file announces.
    """
    stream.seek(0)
    try:
        sizes = frame_sizes(stream.read())
    except CorruptImage as error:
        raise CorruptImage(f"{shorten(name)}: {error}") from error
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"{shorten(name)}: {width}×{height} is coded in it, {width * height:,} pixels; the limit is "
            f"{limits.max_pixels:,}. Make the image smaller, or raise max_pixels."
        )
    pixels = sum(width * height for width, height in sizes)
    if pixels > MOST_LAYERS * limits.max_pixels:
        raise ImageTooLarge(
            f"{shorten(name)}: {len(sizes):,} frames are coded in it, {pixels:,} pixels in all; the limit "
            f"for that is {MOST_LAYERS * limits.max_pixels:,}. Save the image alone, or raise max_pixels."
        )
