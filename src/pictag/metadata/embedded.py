"""Keywords inside an image file, XMP and IPTC, read with Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pictag.errors import ImageNotFound, ImageUnreadable, MetadataError, shorten
from pictag.metadata.keywords import FileKeywords, combine
from pictag.metadata.packet import IPTC, parse_packet

IptcFields = Mapping[tuple[int, int], bytes | list[bytes]]
"""IPTC's data sets by record and number."""
UTF8 = b"\x1b%G"
"""The value of IPTC's CodedCharacterSet, (1, 90), for UTF-8."""
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataBlocks:
    """The metadata of an image file, not yet interpreted."""

    xmp: bytes = b""
    iptc: IptcFields = field(default_factory=dict)


def read_embedded(path: Path) -> FileKeywords:
    """The keywords in a JPEG, PNG, WebP, TIFF, GIF or AVIF file; none for other formats, such as RAW.

    Raises `ImageNotFound`, `ImageUnreadable`, or `MetadataError` for a broken image or broken XMP.
    """
    blocks = read_blocks(path, name=str(path))
    iptc = FileKeywords(subject=iptc_keywords(blocks.iptc))
    if not blocks.xmp:
        return iptc
    packet = parse_packet(blocks.xmp, name=f"the XMP in {path}")
    return combine([packet.keywords(), FileKeywords(subject=iptc.subject, ours=packet.recorded(IPTC))])


def read_blocks(path: Path, *, name: str) -> MetadataBlocks:
    """The XMP and IPTC of an image file; ``name`` is for messages. Raises as `read_embedded` does."""
    from PIL import Image, IptcImagePlugin, UnidentifiedImageError

    from pictag.images.colour import PILLOW_ERRORS

    try:
        with Image.open(path, formats=_FORMATS) as image:
            xmp = image.info.get("xmp", b"")
            if image.format == "PNG" and not xmp:
                xmp = _late_png_xmp(path)
            iptc = IptcImagePlugin.getiptcinfo(image) or {}
    except FileNotFoundError as error:
        raise ImageNotFound(f"{shorten(name)} doesn't exist.") from error
    except UnidentifiedImageError:
        return MetadataBlocks()
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno:
            raise ImageUnreadable(f"Cannot read {shorten(name)}: {error.strerror}.") from error
        raise MetadataError(f"{shorten(name)}: its metadata can't be read ({shorten(error)}).") from error
    data = xmp.encode() if isinstance(xmp, str) else xmp
    return MetadataBlocks(xmp=data.strip(b"\0 \r\n\t"), iptc=iptc)


def _late_png_xmp(path: Path) -> bytes:
    """The XMP after a PNG's pixels, which Pillow reads only when it decodes them."""
    from PIL.PngImagePlugin import PngStream

    with path.open("rb") as file:
        file.seek(8)
        stream = PngStream(file)
        kind = b""
        while kind != b"IEND":
            kind, start, length = stream.read()
            if kind == b"iTXt":
                stream.call(kind, start, length)
            file.seek(start + length + 4)  # after the chunk's checksum
        xmp: bytes = stream.im_info.get("xmp", b"")
    return xmp


def iptc_keywords(fields: IptcFields) -> tuple[str, ...]:
    """The keywords among IPTC's fields."""
    return iptc_texts(fields, (2, 25))


def iptc_texts(fields: IptcFields, name: tuple[int, int]) -> tuple[str, ...]:
    """The texts of one of IPTC's data sets: UTF-8, or else Windows' Latin."""
    values = fields.get(name, [])
    values = [values] if isinstance(values, bytes) else values
    declared = fields.get((1, 90)) == UTF8
    return tuple(word for value in values if (word := _decode(value, declared=declared)))


def _decode(value: bytes, *, declared: bool) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("utf-8" if declared else "cp1252", errors="replace")
    return text.replace("\0", "").strip()
