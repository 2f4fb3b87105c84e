"""PNG files without their text, for those with more of it than Pillow reads."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from pictag.errors import DecodeError

_HEADER = struct.Struct(">I4s")
_SIGNATURE_BYTES, _CRC_BYTES = 8, 4
_TEXT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}
# Pillow looks for the orientation in these.
_NEEDED = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")


def has_too_much_text(error: DecodeError) -> bool:
    """Whether the cause is Pillow's limit on text: 1 MB each, against decompression bombs.

    Image generators write workflows that are longer, and colour profiles count too.
    """
    return isinstance(error.__cause__, ValueError) and "MAX_TEXT" in str(error.__cause__)


def drop_text(stream: BinaryIO) -> BinaryIO:
    """A copy of the file without texts and colour profile, none of which changes its pixels."""
    stream.seek(0)
    kept = io.BytesIO()
    kept.write(stream.read(_SIGNATURE_BYTES))
    while len(head := stream.read(_HEADER.size)) == _HEADER.size:
        length, kind = _HEADER.unpack(head)
        body = stream.read(length + _CRC_BYTES)
        if kind not in _TEXT or body.startswith(_NEEDED):
            kept.write(head + body)
    kept.seek(0)
    return kept
