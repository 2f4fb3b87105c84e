"""What a TIFF contains, from its tags: its size, what its first image is, and how its values are meant."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from pictag.errors import CorruptImage, FormatRefused, ImageTooLarge, shorten
from pictag.images.libtiff import has_codec
from pictag.images.tiff_tags import (
    BITS,
    BROKEN,
    COLOUR_MAP,
    COMPRESSION,
    DNG_VERSION,
    LENGTH,
    MAKE,
    OLD_SUBFILE,
    PHOTOMETRIC,
    PLANES,
    SAMPLE_FORMAT,
    SAMPLES,
    SIDES,
    STRIP_OFFSETS,
    SUB_DIRECTORIES,
    SUBFILE,
    TILE_LENGTH,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    Tags,
    first_value,
    read_directories,
    read_directory,
)

if TYPE_CHECKING:
    from pictag.images.limits import ImageLimits

_WHITE_IS_ZERO = 0
_SENSOR = {32803, 34892}  # values of PHOTOMETRIC: colour filter array, and linear raw
_OPENED_TAGS = (
    SUBFILE, SUB_DIRECTORIES, MAKE, DNG_VERSION, BITS, COMPRESSION, PHOTOMETRIC, PLANES, SAMPLES,
    SAMPLE_FORMAT,
)  # fmt: skip
_OLD_JPEG = 6
_SEPARATE = 2  # value of PLANES: one channel after the other
_WRONG_TYPES: dict[object, str] = {((8,), 2): "int8", ((32,), 1): "uint32"}  # of these bits and formats
_FORMATS = {1: "unsigned integers", 2: "signed integers", 3: "floats"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyKind:
    """How the values of one channel are meant, where Pillow's mode doesn't say it.

    ``bits`` are the significant ones of 16; ``dtype`` is set where Pillow's differs from the file's.
    """

    bits: int = 16
    dtype: str | None = None
    white_is_zero: bool = False


def tiff_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that have to be decoded: a tile is decoded whole, even where it exceeds the image."""
    tags, _ = read_directory(io.BytesIO(data), wanted=SIDES)
    if WIDTH not in tags or LENGTH not in tags:
        return None
    width, length, tile_width, tile_length = (first_value(tags, side) for side in SIDES)
    return max(width, tile_width), max(length, tile_length)


def check_tiles(stream: BinaryIO, size: tuple[int, int], *, name: str, limits: ImageLimits) -> None:
    """Raise `ImageTooLarge` if a TIFF of ``size`` has more than ``limits.max_pixels`` in its tiles."""
    try:
        tags, _ = read_directory(stream, wanted=SIDES)
    except BROKEN:
        return
    width, length = first_value(tags, TILE_WIDTH), first_value(tags, TILE_LENGTH)
    pixels = max(size[0], width) * max(size[1], length)
    if width and length and pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"{shorten(name)}: decoding its tiles of {width}×{length} takes {pixels:,} pixels; the limit is "
            f"{limits.max_pixels:,}. Save it with smaller tiles, or raise max_pixels."
        )


def check_first_image(stream: BinaryIO, *, name: str) -> None:
    """Raise `FormatRefused` if the first image, which is the one that is decoded, is only a preview.

    Camera raw formats such as DNG, NEF and ARW are TIFF files that begin with a small preview. Also raises
    `CorruptImage` for grey that may be black on white or white on black.
    """
    directories = list(read_directories(stream))
    if not directories:
        return
    first, *others = directories
    if (kind := _find_raw(first, others)) is not None:
        raise FormatRefused(f"{shorten(name)}: {describe_raw(kind)}")
    largest = max(others, key=_count_pixels, default=first)
    if _is_reduced(first) and _count_pixels(largest) > _count_pixels(first):
        raise FormatRefused(
            f"{shorten(name)}: the first image of this TIFF ({_describe_size(first)}) is a reduced version "
            f"of another one ({_describe_size(largest)}), and pictag reads only the first. Save the full "
            "image as a file of its own."
        )
    is_grey = first_value(first, SAMPLES, 1) == 1 and first_value(first, COMPRESSION, 1) != _OLD_JPEG
    if PHOTOMETRIC not in first and is_grey and first_value(first, BITS, 1) > 1:
        raise CorruptImage(
            f"{shorten(name)}: this TIFF doesn't say whether 0 is black or white (it has no tag 262, "
            "PhotometricInterpretation). Set it, for example with tiffset: 1 if 0 is black, otherwise 0."
        )


def check_opened(image: Any) -> None:
    """Raise `FormatRefused` for a TIFF that Pillow opens, but that isn't supported.

    It is the preview of a camera raw file, or its compression is missing in this libtiff.
    """
    tags = _read_opened(image)
    if (kind := _find_raw(tags, [])) is not None:
        raise FormatRefused(describe_raw(kind))
    if not has_codec(first_value(tags, COMPRESSION, 1)):
        raise FormatRefused(_describe_unsupported(tags))


def correct_decoder(image: Any) -> None:
    """Prevent Pillow from misreading two kinds of TIFF.

    It reads uncompressed planes of 16 bits as if they had 8; libtiff reads them correctly. And of big-endian
    values, it swaps the bytes that libtiff has already swapped.
    """
    if not image.tile:  # it has been loaded
        return
    tags, tile = image.tag_v2, image.tile[0]
    if tile.codec_name == "libtiff" and image.mode in ("I", "F"):
        raw_mode, *others = tile.args
        image.tile = [tile._replace(args=(raw_mode.replace("B", "N"), *others))]
    elif tile.codec_name == "raw" and tags.get(PLANES) == _SEPARATE and max(tags.get(BITS, (1,))) == 16:
        raw_mode = image.mode.partition(";")[0] + ";16N"
        whole = (0, 0, tags[WIDTH], tags[LENGTH])
        args = (raw_mode, False, tags.offset)
        image.tile = [tile._replace(codec_name="libtiff", extents=whole, offset=0, args=args)]
        image.use_load_libtiff = True


def find_unsupported(stream: BinaryIO) -> str | None:
    """Why a complete TIFF that Pillow doesn't open can't be read; ``None`` if it is broken."""
    with suppress(*BROKEN):
        tags, _ = read_directory(stream)
        if WIDTH in tags and LENGTH in tags and (STRIP_OFFSETS in tags or TILE_OFFSETS in tags):
            return _describe_unsupported(tags)
    return None


def find_undecodable(image: Any, error: Exception) -> str | None:
    """Why a TIFF that Pillow has opened can't be decoded, if its kind is the cause."""
    is_kind = isinstance(error, ValueError) and "raw mode" in str(error)
    return _describe_unsupported(_read_opened(image)) if is_kind and hasattr(image, "tag_v2") else None


def _describe_unsupported(tags: Tags) -> str:
    samples, bits = first_value(tags, SAMPLES, 1), first_value(tags, BITS, 1)
    numbers = _FORMATS.get(first_value(tags, SAMPLE_FORMAT, 1), "values")
    planes = " in separate planes" if samples > 1 and first_value(tags, PLANES) == _SEPARATE else ""
    return (
        f"this kind of TIFF is not supported ({samples} channel{'' if samples == 1 else 's'} of {bits}-bit "
        f"{numbers}{planes}, PhotometricInterpretation {first_value(tags, PHOTOMETRIC)}, "
        f"Compression {first_value(tags, COMPRESSION, 1)}). Convert it to 8-bit RGB or grey."
    )


def read_grey_kind(image: Any) -> GreyKind:
    """How the values of a one-channel image that Pillow has opened are meant."""
    tags = getattr(image, "tag_v2", {})
    bits, sample_format = tags.get(BITS), tags.get(SAMPLE_FORMAT, (1,))[0]
    return GreyKind(
        bits=12 if bits == (12,) else 16,  # TIFF packs 12-bit samples, which Pillow doesn't scale to 16
        dtype=_WRONG_TYPES.get((bits, sample_format)),
        # Pillow inverts 8 bits itself.
        white_is_zero=image.mode != "L" and tags.get(PHOTOMETRIC) == _WHITE_IS_ZERO,
    )


def read_small_palette(image: Any) -> bytes | None:
    """The palette of a TIFF whose writer has stored 8-bit colours in the 16-bit fields; otherwise ``None``.

    libtiff recognises such palettes by their values as well. Pillow would make them black.
    """
    palette = getattr(image, "tag_v2", {}).get(COLOUR_MAP)
    return bytes(palette) if palette and image.mode in ("P", "PA") and max(palette) < 256 else None


def describe_raw(kind: str) -> str:
    """The message for a camera raw file."""
    return (
        f"{kind} is not supported. Convert it to JPEG or TIFF, or extract the JPEG that the camera has "
        "embedded (exiftool -b -JpgFromRaw or -PreviewImage)."
    )


def _find_raw(first: Tags, others: list[Tags]) -> str | None:
    """The kind of a camera raw file, ``None`` for other files."""
    is_sensor = any(first_value(tags, PHOTOMETRIC) in _SENSOR for tags in (first, *others))
    if not (DNG_VERSION in first or is_sensor or (_is_reduced(first) and SUB_DIRECTORIES in first)):
        return None
    make = bytes(first.get(MAKE, ())).partition(b"\0")[0].decode("latin-1").strip()
    kind = "DNG" if DNG_VERSION in first else f"of {shorten(make, 60)}" if make else "TIFF"
    return f"camera raw ({kind})"


def _read_opened(image: Any) -> Tags:
    """The tags of a TIFF that Pillow has opened."""
    tags = image.tag_v2
    return {tag: _as_integers(tags[tag]) for tag in _OPENED_TAGS if tag in tags}


def _as_integers(value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        value = value.encode("latin-1", "replace")
    return tuple(value) if isinstance(value, (tuple, bytes)) else (value,)


def _is_reduced(tags: Tags) -> bool:
    return bool(first_value(tags, SUBFILE) & 1) or first_value(tags, OLD_SUBFILE) == 2


def _count_pixels(tags: Tags) -> int:
    return first_value(tags, WIDTH) * first_value(tags, LENGTH)


def _describe_size(tags: Tags) -> str:
    return f"{first_value(tags, WIDTH)}×{first_value(tags, LENGTH)}"
