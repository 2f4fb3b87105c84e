"""Bytes → DecodedImage: the format is recognised, the size checked, and only then are pixels decoded."""

from __future__ import annotations

import importlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from pictag.errors import CorruptImage, DecodeError, FormatRefused, ImageTooLarge, NotAnImage, shorten
from pictag.images import sniff
from pictag.images.colour import SIDEWAYS, find_transposition, to_rgb
from pictag.images.cost import check_frames, check_scans, check_tiles
from pictag.images.header import webp_size
from pictag.images.limits import ImageLimits
from pictag.images.silence import suppress_libtiff_errors, suppress_pillow_warnings

# What Pillow raises for bad files. Its decoders parse by slicing, unpacking and arithmetic, and most of
# that comes out unwrapped; a list, because `except Exception` would also hide our own mistakes elsewhere.
_BLOCK_BYTES = 16 * 2**20
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    BufferError,
    struct.error,
    zlib.error,
)

TargetSize = Callable[[tuple[int, int]], tuple[int, int] | None]
"""From an image's upright (width, height) to the size at which it is used, or ``None`` for all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """One decoded image.

    ``rgb`` is an upright 8-bit RGB image (EXIF orientation is applied), independent of any file. ``format``
    is the name of the file format, ``None`` for images and arrays from memory. ``original_size`` is the
    full (width, height), upright.
    """

    rgb: Image.Image
    format: str | None
    original_size: tuple[int, int]


def check_size(size: tuple[int, int], *, name: str, limits: ImageLimits) -> None:
    """Raise `ImageTooLarge` above ``limits.max_pixels``, and `CorruptImage` for no pixels at all."""
    width, height = size
    if width < 1 or height < 1:
        raise CorruptImage(f"{shorten(name)}: the image has no pixels ({width}×{height}).")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"{shorten(name)}: {width}×{height} is {width * height:,} pixels, the limit is "
            f"{limits.max_pixels:,}. Make the image smaller, or raise max_pixels."
        )


def decode_pil_image(
    image: Image.Image,
    *,
    name: str,
    limits: ImageLimits,
    format: str | None = None,  # noqa: A002 - Pillow's own word for it
    needed: TargetSize | None = None,
) -> DecodedImage:
    """The DecodedImage of an opened image: its size is checked, then it is loaded and converted.

    ``image`` itself stays as it is, but for having been loaded (and, with ``needed``, shrunk).
    """
    check_size(image.size, name=name, limits=limits)
    full_size = None
    try:
        with suppress_pillow_warnings():
            if needed is not None and image.format in ("JPEG", "MPO"):
                full_size = _shrink_while_decoding(image, needed)
            if isinstance(image, ImageFile.ImageFile) and image.format in ("JPEG", "MPO"):
                # Pillow feeds its decoder 64 kB at a time, and takes the interpreter's lock for each.
                image.decodermaxblock = _BLOCK_BYTES
            image.load()
            check_size(image.size, name=name, limits=limits)
            rgb = to_rgb(image, alpha=limits.alpha)
    except Image.DecompressionBombError as error:
        raise _too_large_for_pillow(name) from error
    except MemoryError as error:
        width, height = image.size
        raise ImageTooLarge(
            f"{shorten(name)}: there is not enough memory to decode {width}×{height} pixels."
        ) from error
    except DecodeError as error:
        raise type(error)(f"{shorten(name)}: {error}") from error
    except _BROKEN as error:
        raise CorruptImage(f"{shorten(name)}: the image cannot be decoded: {_explain(error)}") from error
    return DecodedImage(rgb=rgb, format=format, original_size=full_size or rgb.size)


def _shrink_while_decoding(image: Image.Image, needed: TargetSize) -> tuple[int, int]:
    """Have the JPEG decoder give a half, a quarter or an eighth, but never less than twice what is needed.

    The decoder's own scaling averages blocks. At twice the size what follows smooths over the difference;
    below, it shows in the scores. Gives the full (width, height), upright.
    """
    sideways = find_transposition(image) in SIDEWAYS
    width, height = image.size
    upright = (height, width) if sideways else (width, height)
    wanted = needed(upright)
    if wanted is not None:
        width, height = (wanted[1], wanted[0]) if sideways else wanted
        image.draft(None, (2 * width, 2 * height))
    return upright


def _too_large_for_pillow(name: str) -> ImageTooLarge:
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return ImageTooLarge(
        f"{shorten(name)}: more pixels than Pillow opens ({limit:,}). Make the image smaller; max_pixels "
        "counts only up to that (PIL.Image.MAX_IMAGE_PIXELS sets it)."
    )


def _explain(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"unknown value {shorten(error)}."
    text = shorten(str(error) or type(error).__name__)
    if text.startswith("decoder error"):
        return "its pixels cannot be decoded."
    return text if text.endswith(".") else text + "."


def _refuse(head: bytes, found: sniff.Format | None, *, name: str) -> DecodeError:
    opened = ", ".join(sniff.opened_names())
    if found is not None:
        more = " (with the package pillow-heif also HEIC)" if found.name == "HEIC" else ""
        return FormatRefused(
            f"{shorten(name)}: {found.name} is not opened. pictag opens {opened}{more}; "
            "convert the image to one of them."
        )
    if not head:
        return NotAnImage(f"{shorten(name)}: it is empty.")
    if sniff.is_html(head):
        return NotAnImage(f"{shorten(name)}: it is a web page, not an image.")
    return NotAnImage(f"{shorten(name)}: no image format was recognised. pictag opens {opened}.")


def _open(stream: BinaryIO, form: sniff.Format, *, name: str) -> Image.Image:
    # Only the recognised format's plugin is loaded and may run, whatever the file is called.
    if form is sniff.HEIC:
        importlib.import_module("pillow_heif").register_heif_opener()
        plugin = "HEIF"
    else:
        importlib.import_module(f"PIL.{_PLUGINS[form.name]}ImagePlugin")
        plugin = form.name.upper()
    if form is sniff.TIFF:
        suppress_libtiff_errors()
    try:
        return Image.open(stream, formats=[plugin])
    except UnidentifiedImageError as error:
        raise CorruptImage(
            f"{shorten(name)}: it begins like {form.name}, but its header is broken."
        ) from error


_PLUGINS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "WebP": "WebP",
    "GIF": "Gif",
    "BMP": "Bmp",
    "TIFF": "Tiff",
    "AVIF": "Avif",
}


def decode(
    stream: BinaryIO,
    *,
    name: str = "<bytes>",
    limits: ImageLimits | None = None,
    needed: TargetSize | None = None,
) -> DecodedImage:
    """Decode the first image of a seekable stream, whatever its name says it is.

    With ``needed``, large JPEGs are scaled down while they are decoded: several times faster, and no longer
    equal to the reference to the bit.

    Raises `NotAnImage`, `FormatRefused`, `ImageTooLarge` or `CorruptImage`; a truncated image is
    corrupt, never half a result. Of an animation, only the first frame is decoded.

    >>> stream = io.BytesIO()
    >>> Image.new("L", (4, 3), 200).save(stream, "PNG")
    >>> image = decode(stream)
    >>> image.format, image.original_size, image.rgb.getpixel((0, 0))
    ('PNG', (4, 3), (200, 200, 200))
    """
    limits = limits or ImageLimits()
    stream.seek(0)
    head = stream.read(sniff.HEAD_BYTES)
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - sniff.TAIL_BYTES))
    form = sniff.recognise(head, stream.read(sniff.TAIL_BYTES))
    if form is None or not form.opened:
        raise _refuse(head, form, name=name)
    if form is sniff.WEBP and (size := webp_size(head)) is not None:
        check_size(size, name=name, limits=limits)
    elif form is sniff.JPEG:
        check_scans(stream, name=name)
    try:
        with suppress_pillow_warnings():
            image = _open(stream, form, name=name)
    except Image.DecompressionBombError as error:
        raise _too_large_for_pillow(name) from error
    except MemoryError as error:
        raise ImageTooLarge(f"{shorten(name)}: there is not enough memory to open it.") from error
    except DecodeError:
        raise
    except _BROKEN as error:
        raise CorruptImage(
            f"{shorten(name)}: the {form.name} file cannot be opened: {_explain(error)}"
        ) from error
    with image:
        check_size(image.size, name=name, limits=limits)
        if form is sniff.TIFF:
            check_tiles(stream, image.size, name=name, limits=limits)
        elif form is sniff.AVIF:
            check_frames(stream, name=name, limits=limits)
        return decode_pil_image(image, name=name, limits=limits, format=form.name, needed=needed)


def decode_bytes(
    data: bytes,
    *,
    name: str = "<bytes>",
    limits: ImageLimits | None = None,
    needed: TargetSize | None = None,
) -> DecodedImage:
    """Decode the first image in ``data``; see `decode`."""
    return decode(io.BytesIO(data), name=name, limits=limits, needed=needed)
