"""Recognise a file's format by its magic number, because names and extensions are often wrong."""

from __future__ import annotations

import functools
import importlib.util
import re
from dataclasses import dataclass

HEAD_BYTES = 4096  # enough for every magic number here, and for the prologue of most SVG files
TAIL_BYTES = 26  # the signature of TGA is at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A recognised file format. ``opened`` is whether pictag decodes it."""

    name: str
    opened: bool


JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC = (
    Format(name=name, opened=True) for name in ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")
)

_EXTENSIONS = {
    ".jpg": JPEG, ".jpeg": JPEG, ".jpe": JPEG, ".jfif": JPEG, ".mpo": JPEG,
    ".png": PNG, ".apng": PNG, ".webp": WEBP, ".gif": GIF, ".bmp": BMP, ".dib": BMP,
    ".tif": TIFF, ".tiff": TIFF, ".avif": AVIF, ".heic": HEIC, ".heif": HEIC, ".hif": HEIC,
}  # fmt: skip

# (offset, magic number, name) of formats that are refused by name. Longer magic numbers come first.
_REFUSED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"\x8aMNG\r\n\x1a\n", "MNG"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"FUJIFILMCCD-RAW", "camera raw (Fujifilm RAF)"),
    (6, b"HEAPCCDR", "camera raw (Canon CRW)"),
    (0, b"\x00MRM", "camera raw (Minolta MRW)"),
    (0, b"FOVb", "camera raw (Sigma X3F)"),
    (0, b"gimp xcf", "GIMP XCF"),
    (0, b"/* XPM */", "XPM"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Microsoft compound document"),
    (128, b"DICM", "DICOM"),
    (40, b" EMF", "EMF"),
    # TIFF files whose first image is only a preview; others are recognised by their tags.
    (4, b"\x10\0\0\0CR\x02", "camera raw (Canon CR2)"),
    (8, b"IIII\x01waR", "camera raw (Phase One IIQ)"),
    (8, b"MMMMRaw", "camera raw (Phase One IIQ)"),
    (0, b"IIRO", "camera raw (Olympus ORF)"),
    (0, b"IIRS", "camera raw (Olympus ORF)"),
    (0, b"MMOR", "camera raw (Olympus ORF)"),
    (0, b"IIU\x00", "camera raw (Panasonic RW2)"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "Photoshop (PSD)"),
    (0, b"%!PS", "EPS"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"%PDF-", "PDF"),
    (0, b"icns", "ICNS"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"DDS ", "DDS"),
    (0, b"BLP1", "BLP"),
    (0, b"BLP2", "BLP"),
    (0, b"FTEX", "FTEX"),
    (0, b"FTU\x00", "FTEX"),
    (0, b"qoif", "QOI"),
    (0, b"GRIB", "GRIB"),
    (0, b"BUFR", "BUFR"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (0, b"\x01\x00\x09\x00", "WMF"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"\xb1\x68\xde\x3a", "DCX"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\x01\xda", "SGI"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska video"),
)
# Checked last: two bytes at offset 4 may also be a length in a JPEG or WebP file.
_FLIC = {b"\x11\xaf": "FLI", b"\x12\xaf": "FLC"}
_ICO = re.compile(rb"\0\0[\1\2]\0(?!\0\0)")  # with a count of 0, it would be a TGA header
_NETPBM = re.compile(rb"P[1-7Ff][\s#]")
_PCX = re.compile(rb"\x0a[\x00\x02\x03\x05]\x01[\x01\x02\x04\x08]")
_XBM = re.compile(rb"\s*(/\*.*?\*/\s*)?#define\s+\S+_width\s", re.DOTALL)
_SVG = re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|!--|!doctype svg|svg)", re.IGNORECASE)
_OPENED = (
    (re.compile(rb"\xff\xd8\xff"), JPEG),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PNG),
    (re.compile(rb"GIF8[79]a"), GIF),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), WEBP),
    (re.compile(rb"II[*+]\0|MM\0[*+]|II\0\*|MM\*\0"), TIFF),
    # Two letters aren't enough: the size of the header that follows must be one that exists.
    (re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0{3}", re.DOTALL), BMP),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@functools.cache
def opens_avif() -> bool:
    """Whether this Pillow was built with an AVIF decoder."""
    return importlib.util.find_spec("PIL._avif") is not None


@functools.cache
def opens_heic() -> bool:
    """Whether pillow_heif is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def _is_opened(form: Format) -> bool:
    return (form is not AVIF or opens_avif()) and (form is not HEIC or opens_heic())


@functools.cache
def opened_names() -> tuple[str, ...]:
    """The names of the formats that can be opened with the installed packages."""
    return tuple(f.name for f in (JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC) if _is_opened(f))


@functools.cache
def image_extensions() -> frozenset[str]:
    """The extensions, in lower case, of the formats that can be opened with the installed packages."""
    return frozenset(extension for extension, form in _EXTENSIONS.items() if _is_opened(form))


def _recognise_boxes(head: bytes) -> Format | None:
    if head[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, length - 3, 4))}
    if brands & _AVIF_BRANDS:
        return AVIF
    if brands & _HEIC_BRANDS:
        return HEIC
    name = "camera raw (Canon CR3)" if b"crx " in brands else "MP4 or QuickTime video"
    return Format(name=name, opened=False)


def _is_tga(head: bytes, tail: bytes) -> bool:
    if tail.endswith(b"TRUEVISION-XFILE.\x00"):
        return True
    # Older files have no signature, so check that the header is plausible.
    return (
        len(head) > 18
        and head[1] in (0, 1)
        and head[2] in (1, 2, 3, 9, 10, 11)
        and (head[2] in (1, 9)) == (head[1] == 1)
        and head[7] in (0, 8, 15, 16, 24, 32)
        and head[16] in (8, 15, 16, 24, 32)
        and head[17] & 0xC0 == 0
        and head[12:14] != b"\0\0"
        and head[14:16] != b"\0\0"
    )


def recognise(head: bytes, tail: bytes = b"") -> Format | None:
    """The format of a file from its first `HEAD_BYTES` (and last `TAIL_BYTES`), or ``None``.

    No decoder is run. A format that pictag recognises but doesn't open has ``opened=False``.

    >>> recognise(b"%PDF-1.7")
    Format(name='PDF', opened=False)
    >>> recognise(b"plain text") is None
    True
    """
    for offset, magic, name in _REFUSED:
        if head.startswith(magic, offset):
            return Format(name=name, opened=False)
    for pattern, form in _OPENED:
        if pattern.match(head):
            return form
    found = _recognise_boxes(head)
    if found is not None:
        return found if _is_opened(found) else Format(name=found.name, opened=False)
    name = (
        _FLIC.get(head[4:6], "")
        or (("", "ICO", "CUR")[head[2]] if _ICO.match(head) else "")
        or ("PPM" if _NETPBM.match(head) else "")
        or ("PCX" if _PCX.match(head) else "")
        or ("XBM" if _XBM.match(head) else "")
        or ("SVG" if _SVG.match(head) and b"<svg" in head.lower() else "")
        or ("TGA" if _is_tga(head, tail) else "")
    )
    return Format(name=name, opened=False) if name else None
