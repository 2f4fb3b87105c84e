"""A photograph's metadata: when and with which camera it was taken, and the keywords that people wrote."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image

from pictag.gallery.store import PhotoFacts
from pictag.images.colour import PILLOW_ERRORS
from pictag.images.sniff import HEAD_BYTES, recognise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d):(\d\d):(\d\d)")
_FAILURES = (*PILLOW_ERRORS, Image.DecompressionBombError)


def read_facts(path: Path, data: bytes | None) -> tuple[PhotoFacts, bool]:
    """The facts in a file without its keywords, and whether it may have some.

    ``data`` are the file's bytes if they were read. What can't be read is left out.
    """
    try:
        head = _read_head(path) if data is None else data[:HEAD_BYTES]
    except OSError:
        head = b""
    form = recognise(head)
    kind = "unknown" if form is None else "raw" if form.name.startswith("camera raw") else form.name.lower()
    try:
        with Image.open(path if data is None else io.BytesIO(data)) as image:
            exif = image.getexif()
            details, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
            facts = PhotoFacts(
                type=kind,
                taken=_read_date(details),
                camera=_read_camera(exif),
                has_gps=ExifTags.GPS.GPSLatitude in gps,
            )
            # Where Pillow finds XMP and IPTC in a JPEG; most photographs have neither.
            is_plain = image.format in ("JPEG", "MPO") and not image.info.keys() & {"xmp", "photoshop"}
            return facts, not is_plain
    except _FAILURES:
        return PhotoFacts(type=kind), True


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _read_date(details: Mapping[int, Any]) -> str | None:
    for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized):
        value = details.get(tag)
        match = _DATE.match(value) if isinstance(value, str) else None
        if match is not None and int(match[1]):  # a camera whose clock isn't set writes zeros
            year, month, day, hour, minute, second = match.groups()
            return f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    return None


def _read_camera(exif: Mapping[int, Any]) -> str | None:
    """Make and model, without repeating the make.

    >>> _read_camera({271: "NIKON CORPORATION", 272: "NIKON Z 6"}), _read_camera({271: "SONY", 272: "ILCE-7"})
    ('NIKON Z 6', 'SONY ILCE-7')
    """
    make, model = (
        " ".join(str(exif.get(tag) or "").replace("\0", " ").split())
        for tag in (ExifTags.Base.Make, ExifTags.Base.Model)
    )
    if make and model.casefold().startswith(make.split()[0].casefold()):
        make = ""
    return f"{make} {model}".strip()[:100] or None
