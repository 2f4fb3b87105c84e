"""What a picture costs beside its pixels: looked at before it is decoded, for no decoder can be stopped."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import CorruptPicture, PictureTooLarge, shorten

if TYPE_CHECKING:
    from PIL import Image

    from pictag.images.limits import PictureLimits

MOST_SCANS = 100
"""Of a JPEG. Programs write about ten; each costs a pass over all of the picture, however little is in it."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_START_OF_SCAN, _END = 0xDA, 0xD9
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
# Among the coded pixels: neither a byte 0xFF of theirs, nor a restart, nor padding.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def check_scans(stream: BinaryIO, *, name: str) -> None:
    """Raise `CorruptPicture` for a JPEG of more than `MOST_SCANS` scans.

    Only one that has several is read to its end; what follows the picture in its file is not looked at.
    """
    stream.seek(0)
    data = stream.read()
    if count_scans(data, at_most=MOST_SCANS) > MOST_SCANS:
        raise CorruptPicture(
            f"{shorten(name)}: the picture comes in more than {MOST_SCANS} scans, and each takes a pass over "
            "all of it. Save it anew."
        )


def count_scans(data: bytes, *, at_most: int) -> int:
    """The scans that a decoder would go through in a JPEG; counting ends above ``at_most``."""
    scans, place, components = 0, 2, 0
    is_progressive = False
    try:
        while scans <= at_most:
            # Between segments decoders skip what is none, too.
            found = _MARKER.search(data, place)
            if found is None:
                break
            place = found.end()
            marker = data[place - 1]
            if marker == _END:
                break
            if marker in _NO_LENGTH:
                continue
            if marker in _FRAMES:
                is_progressive = marker in _PROGRESSIVE
                components = data[place + 7]
            elif marker == _START_OF_SCAN:
                scans += 1
                if not is_progressive and data[place + 2] >= components:
                    break  # all components at once: the decoder ends with this one
            place += int(struct.unpack_from(">H", data, place)[0])
    except (struct.error, IndexError):  # cut off
        pass
    return scans


def check_tiles(image: Image.Image, *, name: str, limits: PictureLimits) -> None:
    """Raise `PictureTooLarge` for a TIFF whose tiles are larger than a picture may be.

    A tile is decoded as a whole, however little of it the picture shows.
    """
    tags = getattr(image, "tag_v2", {})
    width, length = tags.get(_TILE_WIDTH), tags.get(_TILE_LENGTH)
    if isinstance(width, int) and isinstance(length, int) and width * length > limits.max_pixels:
        raise PictureTooLarge(
            f"{shorten(name)}: a tile of it is {width}×{length}, {width * length:,} pixels; the limit is "
            f"{limits.max_pixels:,}. Save it with smaller tiles, or raise max_pixels."
        )
