"""JPEG segments: the image's size, and limits on files that cost far more to decode than their pixels.

Neither Pillow nor libjpeg can be interrupted, so these limits are checked before a decoder starts.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import CorruptImage, shorten

if TYPE_CHECKING:
    from collections.abc import Container

MAX_SCANS = 100
"""Encoders write about ten. Each costs a pass over the whole image, even if it contains almost no data."""
MAX_SEGMENTS = 10_000
"""Pillow reads them one by one. Photos with a depth map have hundreds."""
MAX_PADDING_BYTES = 65_536
"""Total before the first scan. Pillow skips padding byte by byte; encoders write none."""
_SIZE_SEGMENTS = 256  # read for the size alone; cameras write about ten before the frame header
_HEAD_BYTES = 65_536  # usually includes the start of the first scan
_READ_BYTES = 256 * 2**20  # of larger files, only the start is checked
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NO_LENGTH = frozenset({0x01, 0xD8, 0xD9})
_START_OF_SCAN, _END = 0xDA, 0xD9
# A marker is 0xFF and a code. Within coded pixels, 0xFF00 is data and 0xFFD0 to 0xFFD7 are restarts.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def list_segments(data: bytes, *, until: Container[int], limit: int = MAX_SEGMENTS) -> list[tuple[int, int]]:
    """Each segment's marker and the offset of its two-byte length, in linear time.

    Ends after a marker of ``until``. Bytes between segments are skipped, as decoders do. Raises
    `CorruptImage` above ``limit`` segments or `MAX_PADDING_BYTES`.
    """
    segments: list[tuple[int, int]] = []
    place, padding_left, in_scans = 2, MAX_PADDING_BYTES, False
    while len(segments) < limit:
        end = len(data) if in_scans else min(len(data), place + padding_left + 2)
        found = _MARKER.search(data, place, end)
        if found is None:
            if end < len(data):
                break
            return segments
        if not in_scans:
            padding_left -= found.start() - place
        place = found.end()
        marker = data[place - 1]
        in_scans = in_scans or marker == _START_OF_SCAN
        segments.append((marker, place))
        if marker in until:
            return segments
        if marker not in _NO_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")
    raise CorruptImage(
        f"the file has more than {limit:,} segments, or {MAX_PADDING_BYTES:,} bytes between them. "
        "Save the image again."
    )


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the frame header."""
    segments = list_segments(data, until=_FRAMES, limit=_SIZE_SEGMENTS)
    if not segments or segments[-1][0] not in _FRAMES:
        return None
    height, width = struct.unpack_from(">HH", data, segments[-1][1] + 3)
    return width, height


def check_scans(stream: BinaryIO, *, name: str) -> None:
    """Raise `CorruptImage` above `MAX_SCANS`, `MAX_SEGMENTS` or `MAX_PADDING_BYTES`.

    Only files that may have several scans are read to the end of the image. What follows the image in its
    file isn't checked.
    """
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    try:
        if not _has_all_scans(head):
            _has_all_scans(head + stream.read(_READ_BYTES))
    except CorruptImage as error:
        raise CorruptImage(f"{shorten(name)}: {error}") from error


def _has_all_scans(data: bytes) -> bool:
    """Whether no scan of the image can follow ``data``. Raises `CorruptImage` as `check_scans` does."""
    segments = list_segments(data, until=(_START_OF_SCAN, _END))
    frame, components = next(
        ((marker, data[place + 7 : place + 8]) for marker, place in reversed(segments) if marker in _FRAMES),
        (0, b""),
    )
    if segments and segments[-1][0] == _START_OF_SCAN and frame not in _PROGRESSIVE:
        place = segments[-1][1]
        if data[place + 2 : place + 3] >= components:
            return True  # all components in one scan
    segments = list_segments(data, until=(_END,))
    if sum(marker == _START_OF_SCAN for marker, _ in segments) > MAX_SCANS:
        raise CorruptImage(
            f"the image has more than {MAX_SCANS} scans, and decoding each takes a pass over the whole "
            "image. Save it again."
        )
    return bool(segments) and segments[-1][0] == _END
