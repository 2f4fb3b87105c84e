"""PNG files without metadata, for those whose metadata Pillow rejects."""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO

_HEADER = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_SIGNATURE_BYTES = 8
# Pillow looks for the orientation in texts with these keywords.
_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"exif\0")
_MAX_TEXT_BYTES = 4 * 2**20  # of these texts together, against decompression bombs; the start is enough


def drop_metadata(stream: BinaryIO) -> BinaryIO | None:
    """A copy of the file with only what pictag uses: pixels, palette, transparency and orientation.

    ``None`` if the file has nothing else. Image generators write workflows of several megabytes, which exceed
    Pillow's limit on compressed text, and Pillow also checks chunks that don't change the pixels.
    """
    stream.seek(0)
    kept = io.BytesIO()
    kept.write(stream.read(_SIGNATURE_BYTES))
    is_shorter, text_bytes, kind = False, _MAX_TEXT_BYTES, b""
    while kind != b"IEND" and len(head := stream.read(_HEADER.size)) == _HEADER.size:
        length, kind = _HEADER.unpack(head)
        data, crc = stream.read(length), stream.read(_CRC.size)
        if kind[:1].isupper() or kind == b"tRNS" or (kind == b"eXIf" and crc == _checksum(kind, data)):
            kept.write(head + data + crc)
            continue
        is_shorter = True
        if data.startswith(_ORIENTATION) and crc == _checksum(kind, data):
            kind, data = _decompress(kind, data, text_bytes)
            text_bytes -= len(data)
            kept.write(_HEADER.pack(len(data), kind) + data + _checksum(kind, data))
    kept.seek(0)
    return kept if is_shorter else None


def _checksum(kind: bytes, data: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(kind + data))


def _decompress(kind: bytes, data: bytes, limit: int) -> tuple[bytes, bytes]:
    """A text chunk without compression: Pillow reads 64 MB of it, but only 1 MB of compressed text."""
    keyword, _, rest = data.partition(b"\0")
    inflate = zlib.decompressobj().decompress
    try:
        if kind == b"zTXt":
            return b"tEXt", keyword + b"\0" + inflate(rest[1:], max(limit, 1))
        if kind == b"iTXt" and rest[:1] == b"\1":
            language, translated, text = rest[2:].split(b"\0", 2)
            tail = b"\0".join((language, translated, inflate(text, max(limit, 1))))
            return kind, keyword + b"\0\0\0" + tail
    except (ValueError, zlib.error):  # Pillow ignores what it can't read here
        pass
    return kind, data
