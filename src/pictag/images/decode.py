"""Bytes → DecodedImage: recognise the format, check the size, then decode the pixels."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImagePalette, UnidentifiedImageError

from pictag.errors import CorruptImage, DecodeError, FormatRefused, ImageTooLarge, NotAnImage, shorten
from pictag.images import sniff
from pictag.images.colour import PILLOW_ERRORS, SIDEWAYS, find_transposition, to_rgb, warn_if_dark
from pictag.images.header import BOX_BYTES, largest_item, webp_size
from pictag.images.jpeg import check_scans
from pictag.images.libtiff import suppress_libtiff_errors
from pictag.images.limits import MAX_PIXELS, ImageLimits
from pictag.images.png import drop_metadata
from pictag.images.tiff import (
    check_first_image,
    check_opened,
    check_tiles,
    correct_decoder,
    describe_raw,
    find_undecodable,
    find_unsupported,
    read_small_palette,
)
from pictag.substitutes import explain_substitute, is_html

_BLOCK_BYTES = 16 * 2**20
_FAILURES = (*PILLOW_ERRORS, MemoryError, Image.DecompressionBombError)
_PLUGINS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "WebP": "WebP",
    "GIF": "Gif",
    "BMP": "Bmp",
    "TIFF": "Tiff",
    "AVIF": "Avif",
}

# Pillow logs errors of some TIFF files. Without a handler, Python would print them on stderr. Handlers that
# the user has set up still receive them.
logging.getLogger("PIL").addHandler(logging.NullHandler())

TargetSize = Callable[[tuple[int, int]], tuple[int, int] | None]
"""From an image's upright (width, height) to the size it is resized to; ``None`` decodes it in full."""


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
            f"{shorten(name)}: {width}×{height} is {width * height:,} pixels; the limit is "
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
    """Check an opened image's size, then load and convert it.

    ``image`` itself isn't changed, except that it is loaded (and shrunk if ``needed`` is given).
    """
    announced = image.size
    check_size(announced, name=name, limits=limits)
    full_size = None
    try:
        if hasattr(image, "tag_v2"):  # a TIFF
            check_opened(image)
            correct_decoder(image)
            if (palette := read_small_palette(image)) is not None:
                image.palette = ImagePalette.raw("RGB;L", palette)
        is_jpeg = image.format in ("JPEG", "MPO")
        if is_jpeg and isinstance(image, ImageFile.ImageFile):
            if needed is not None:
                full_size = _shrink_while_decoding(image, needed)
            # By default Pillow feeds its decoder 64 kB at a time and takes the interpreter's lock for each.
            image.decodermaxblock = _BLOCK_BYTES
        tiles = () if is_jpeg or image.mode not in ("RGB", "RGBA") else getattr(image, "tile", ())
        is_deep_colour = bool(tiles) and ";16" in str(tiles)
        image.load()
        if image.size != announced:
            check_size(image.size, name=name, limits=limits)
        rgb = to_rgb(image, alpha=limits.alpha)
        if is_deep_colour:  # Pillow keeps the upper 8 of 16 bits
            warn_if_dark(int(np.asarray(rgb).max()), top=255)
    except DecodeError as error:
        raise type(error)(f"{shorten(name)}: {error}") from error
    except _FAILURES as error:
        if (reason := find_undecodable(image, error)) is not None:
            raise FormatRefused(f"{shorten(name)}: {reason}") from error
        raise _translate(error, name=name, problem="it cannot be decoded") from error
    return DecodedImage(rgb=rgb, format=format, original_size=full_size or rgb.size)


def _shrink_while_decoding(image: Image.Image, needed: TargetSize) -> tuple[int, int]:
    """Let the JPEG decoder scale to a half, a quarter or an eighth, but not below twice the needed size.

    The decoder scales by averaging blocks. From twice the size, the resize that follows hides the
    difference; below that, it shows in the scores. Returns the full upright (width, height).
    """
    sideways = find_transposition(image) in SIDEWAYS
    width, height = image.size
    upright = (height, width) if sideways else (width, height)
    wanted = needed(upright)
    if wanted is not None:
        width, height = (wanted[1], wanted[0]) if sideways else wanted
        image.draft(None, (2 * width, 2 * height))
    return upright


def _translate(error: Exception, *, name: str, problem: str) -> DecodeError:
    shown = shorten(name)
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return ImageTooLarge(
            f"{shown}: more pixels than Pillow opens ({limit:,}). Make the image smaller, or raise "
            f"max_pixels above {MAX_PIXELS:,}."
        )
    if isinstance(error, MemoryError):
        return ImageTooLarge(f"{shown}: {problem}: there is not enough memory.")
    reason = f"unknown value {shorten(error)}" if isinstance(error, KeyError) else shorten(error)
    if not reason or reason.startswith("decoder error"):  # Pillow's number says nothing more
        return CorruptImage(f"{shown}: {problem}.")
    return CorruptImage(f"{shown}: {problem}: {reason.removesuffix('.')}.")


def _refuse(head: bytes, found: sniff.Format | None, *, name: str) -> DecodeError:
    shown, opened = shorten(name), ", ".join(sniff.opened_names())
    if found is not None and found.name.startswith("camera raw"):
        return FormatRefused(f"{shown}: {describe_raw(found.name)}")
    if found is not None:
        more = ", or install pillow-heif to open HEIC" if found.name == "HEIC" else ""
        return FormatRefused(
            f"{shown}: {found.name} is not supported. pictag opens {opened}; convert the image to one of "
            f"them{more}."
        )
    if not head:
        return NotAnImage(f"{shown}: the file is empty.")
    if is_html(head):
        return NotAnImage(f"{shown}: this is a web page, not an image.")
    if pointer := explain_substitute(head):
        return NotAnImage(f"{shown}: this is {pointer}.")
    return NotAnImage(f"{shown}: this is not a known image format. pictag opens {opened}.")


def _open(stream: BinaryIO, form: sniff.Format, *, name: str) -> Image.Image:
    # Only the recognised format's plugin is loaded and run, regardless of the file's extension.
    if form is sniff.HEIC:
        importlib.import_module("pillow_heif").register_heif_opener()
        plugin = "HEIF"
    else:
        importlib.import_module(f"PIL.{_PLUGINS[form.name]}ImagePlugin")
        plugin = form.name.upper()
    if form is sniff.TIFF:
        suppress_libtiff_errors()
        check_first_image(stream, name=name)
    try:
        return Image.open(stream, formats=[plugin])
    except UnidentifiedImageError as error:
        if form is sniff.TIFF and (reason := find_unsupported(stream)) is not None:
            raise FormatRefused(f"{shorten(name)}: {reason}") from error
        raise CorruptImage(f"{shorten(name)}: the file's {form.name} header is corrupt.") from error


def decode(
    stream: BinaryIO,
    *,
    name: str = "<bytes>",
    limits: ImageLimits | None = None,
    needed: TargetSize | None = None,
) -> DecodedImage:
    """Decode the first image of a seekable stream, whatever its name says it is.

    With ``needed``, large JPEGs are scaled down while they are decoded. This is several times faster, but no
    longer bit-equal to the reference.

    Raises `NotAnImage`, `FormatRefused`, `ImageTooLarge` or `CorruptImage`. A truncated image is
    corrupt, never half a result. Only the first frame of an animation is decoded.

    >>> import io
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
    announced = None
    if form is sniff.JPEG:
        check_scans(stream, name=name)
    elif form is sniff.WEBP:
        announced = webp_size(head)
    elif form in (sniff.AVIF, sniff.HEIC):
        stream.seek(0)
        announced = largest_item(stream.read(BOX_BYTES))
    if announced is not None:
        check_size(announced, name=name, limits=limits)
    try:
        return _decode_as(stream, form, name=name, limits=limits, needed=needed)
    except CorruptImage:
        if form is not sniff.PNG or (reduced := drop_metadata(stream)) is None:
            raise
        return _decode_as(reduced, form, name=name, limits=limits, needed=needed)


def _decode_as(
    stream: BinaryIO, form: sniff.Format, *, name: str, limits: ImageLimits, needed: TargetSize | None
) -> DecodedImage:
    try:
        image = _open(stream, form, name=name)
    except DecodeError:
        raise
    except _FAILURES as error:
        raise _translate(error, name=name, problem=f"the {form.name} file cannot be opened") from error
    with image:
        if form is sniff.TIFF:
            check_size(image.size, name=name, limits=limits)
            check_tiles(stream, image.size, name=name, limits=limits)
        return decode_pil_image(image, name=name, limits=limits, format=form.name, needed=needed)
