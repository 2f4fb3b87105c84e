"""Bytes become an image, or an error that says what they are instead."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from images.decoding import decode_bytes
from pictag.errors import (
    CorruptImage,
    DecodeError,
    FormatRefused,
    ImageTooLarge,
    NotAnImage,
    OptionError,
)
from pictag.images import FetchLimits, ImageLimits, make_source, read_image
from pictag.images.sniff import AVIF, WEBP, opened_names, recognise

Encode = Callable[..., bytes]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


@contextlib.contextmanager
def peak_below(limit_bytes: int) -> Iterator[None]:
    """Fails if more memory is allocated within the block."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit_bytes
    finally:
        tracemalloc.stop()


PIXEL = chunk(b"IDAT", zlib.compress(b"\0\1\2\3")) + chunk(b"IEND", b"")

REFUSED = [
    ("Photoshop (PSD)", b"8BPS\0\1" + bytes(40)),
    ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    ("EPS", b"\xc5\xd0\xd3\xc6" + bytes(30)),
    ("PDF", b"%PDF-1.7\n"),
    ("SVG", b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ("SVG", b"\xef\xbb\xbf  <SVG width='9'/>"),
    ("FITS", b"SIMPLE  =                    T"),
    ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20)),
    ("JPEG 2000", b"\xff\x4f\xff\x51" + bytes(20)),
    ("JPEG XL", b"\xff\x0a" + bytes(20)),
    ("ICO", b"\0\0\1\0\1\0" + bytes(20)),
    ("CUR", b"\0\0\2\0\1\0" + bytes(20)),
    ("PPM", b"P6\n3 2\n255\n" + bytes(18)),
    ("PCX", b"\x0a\5\1\x08" + bytes(124)),
    ("DDS", b"DDS " + bytes(124)),
    ("TGA", b"\0\0\2" + bytes(9) + b"\3\0\2\0\x18\0" + bytes(18)),
    ("TGA", bytes(40) + b"TRUEVISION-XFILE.\0"),
    ("XBM", b"#define im_width 9\n#define im_height 9\n"),
    ("QOI", b"qoif" + bytes(20)),
    ("DICOM", bytes(128) + b"DICM" + bytes(20)),
    ("OpenEXR", b"v/1\1" + bytes(20)),
    ("MP4 or QuickTime video", b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + bytes(20)),
]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO"])
def test_every_supported_format_is_decoded(photo: Image.Image, encode: Encode, form: str) -> None:
    image = decode_bytes(encode(photo, form))
    assert image.original_size == image.rgb.size == (48, 36)
    assert image.rgb.mode == "RGB"
    expected = {"WEBP": "WebP", "MPO": "JPEG"}.get(form, form)
    assert image.format == expected
    assert expected in opened_names()


@pytest.mark.parametrize(("name", "data"), REFUSED, ids=[name for name, _ in REFUSED])
def test_an_unsupported_format_is_named_whatever_the_files_extension(name: str, data: bytes) -> None:
    with pytest.raises(FormatRefused) as caught:
        decode_bytes(data, name="holiday.jpg")
    assert f"holiday.jpg: {name} is not supported" in str(caught.value)
    assert "JPEG, PNG" in str(caught.value)


@pytest.mark.parametrize("form", ["EPS", "PDF", "ICO", "JPEG2000", "PPM", "TGA", "PCX", "SGI", "DDS", "ICNS"])
def test_formats_that_only_pillow_supports_are_rejected(
    photo: Image.Image, encode: Encode, form: str
) -> None:
    with pytest.raises((FormatRefused, NotAnImage)):
        decode_bytes(encode(photo, form))


@pytest.mark.skipif("HEIC" in opened_names(), reason="pillow-heif is installed")
def test_the_error_for_heic_names_the_missing_package() -> None:
    with pytest.raises(FormatRefused, match="pillow-heif"):
        decode_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))


@pytest.mark.parametrize("brands", [b"avifmif1", b"mif1avif"])
def test_avif_is_distinguished_from_heic_by_its_brands(brands: bytes) -> None:
    assert recognise(b"\0\0\0\x18ftyp" + brands[:4] + bytes(4) + brands + bytes(9)) == AVIF


@pytest.mark.parametrize("length", [b"\x11\xaf", b"\xaf\x11", b"\x12\xaf"])
def test_a_length_that_looks_like_a_magic_number_is_ignored(
    photo: Image.Image, encode: Encode, length: bytes
) -> None:
    # A camera's JPEG starts with its EXIF data. A length of 4527 bytes looks like FLI's magic number.
    size = int.from_bytes(length, "big") - 2
    data = encode(photo, "JPEG")
    assert decode_bytes(data[:2] + b"\xff\xe1" + length + bytes(size) + data[2:]).format == "JPEG"
    webp = bytearray(encode(photo, "WEBP"))
    webp[4:6] = length
    assert recognise(bytes(webp)) == WEBP


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"plain text", "this is not a known image format"),
        (b"BMW is a maker of cars", "this is not a known image format"),
        (b"<!DOCTYPE html><html><svg></svg></html>", "web page"),
        (bytes(5000), "not a known image format"),
    ],
)
def test_the_error_for_other_data_says_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(NotAnImage, match=words):
        decode_bytes(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_image_is_an_error_or_complete(photo: Image.Image, encode: Encode, form: str) -> None:
    data = encode(photo, form)
    whole = decode_bytes(data).rgb.tobytes()
    failed = 0
    for end in sorted({*(len(data) * n // 20 for n in range(20)), *range(len(data) - 9, len(data))}):
        try:
            # A cut after the last pixel is harmless. Half an image is never returned.
            assert decode_bytes(data[:end]).rgb.tobytes() == whole
        except DecodeError:
            failed += 1
    assert failed >= 19


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
def test_a_truncated_compressed_tiff_is_an_error(
    photo: Image.Image, encode: Encode, compression: str
) -> None:
    data = encode(photo, "TIFF", compression=compression)
    for n in range(1, 20):
        with pytest.raises(DecodeError):
            decode_bytes(data[: len(data) * n // 20])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_max_pixels_applies_to_every_format(photo: Image.Image, encode: Encode, form: str) -> None:
    data = encode(photo, form)
    assert decode_bytes(data, limits=ImageLimits(max_pixels=48 * 36)).rgb.size == (48, 36)
    with pytest.raises(ImageTooLarge, match="48×36 is 1,728 pixels; the limit is 1,727"):
        decode_bytes(data, limits=ImageLimits(max_pixels=48 * 36 - 1))


@pytest.mark.parametrize("size", [(65535, 65535), (12000, 8000), (2**31 - 1, 1)])
def test_an_image_above_the_limit_allocates_nothing(size: tuple[int, int]) -> None:
    with peak_below(2**20), pytest.raises(ImageTooLarge):
        decode_bytes(png(*size, PIXEL), limits=ImageLimits(max_pixels=50_000_000))


def test_a_webp_canvas_is_checked_before_it_is_allocated() -> None:
    def side(n: int) -> bytes:
        return (n - 1).to_bytes(3, "little")

    data = b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + side(16384) + side(16384) + bytes(40)
    with pytest.raises(ImageTooLarge, match="16384×16384"):
        decode_bytes(data)


@pytest.mark.parametrize(
    "value", [Image.new("RGB", (5, 4)), np.zeros((4, 5), np.uint8)], ids=["PIL", "array"]
)
def test_max_pixels_applies_to_images_in_memory(value: object) -> None:
    with pytest.raises(ImageTooLarge, match="5×4"):
        read_image(make_source(value), limits=ImageLimits(max_pixels=19))


def test_an_image_without_pixels_is_corrupt() -> None:
    with pytest.raises(CorruptImage, match="no pixels"):
        read_image(make_source(Image.new("RGB", (0, 5))))


def test_a_closed_pil_image_is_corrupt(photo: Image.Image, encode: Encode) -> None:
    image = Image.open(io.BytesIO(encode(photo, "PNG")))
    image.close()
    with pytest.raises(CorruptImage):
        read_image(make_source(image))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(form: str, encode: Encode) -> None:
    frames = [Image.new("P", (64, 64), 3 * (n % 80)) for n in range(600)]
    for frame in frames:
        frame.putpalette(bytes(range(256)) * 3)
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], duration=10)
    with peak_below(2**20 + len(data)):
        image = decode_bytes(data)
    assert np.asarray(image.rgb)[5, 5].max() < 5, "the first frame is dark, all others are lighter"


def test_a_tiff_of_many_pages_gives_its_first_page(photo: Image.Image, encode: Encode) -> None:
    data = encode(photo, "TIFF", save_all=True, append_images=[photo.rotate(90)] * 200)
    assert decode_bytes(data).rgb.tobytes() == photo.tobytes()


BOMB = zlib.compress(bytes(200 * 2**20), 9)


@pytest.mark.parametrize(
    "bomb",
    [
        chunk(b"zTXt", b"Comment\0\0" + BOMB),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + BOMB) * 5,
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB) * 5,
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB),
        chunk(b"iCCP", b"icc\0\0" + BOMB),
        chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + b"\x0f\1\2\0\xff\xff\xff\x0f\0\0\0\0" * 5000),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  99\n" + b"ab" * 100_000),
    ],
    ids=["zTXt", "zTXt of EXIF", "iTXt of XMP", "iTXt", "iCCP", "EXIF", "raw EXIF"],
)
def test_a_bomb_in_metadata_is_rejected_or_ignored(bomb: bytes) -> None:
    with peak_below(50 * 2**20), contextlib.suppress(CorruptImage):
        assert decode_bytes(png(1, 1, bomb, PIXEL)).rgb.size == (1, 1)


def test_bytes_after_the_image_are_ignored(photo: Image.Image, encode: Encode) -> None:
    for form in ("PNG", "JPEG", "GIF", "BMP"):
        data = encode(photo, form)
        assert decode_bytes(data + bytes(10**6)).rgb.tobytes() == decode_bytes(data).rgb.tobytes()


def test_messages_are_short_and_name_the_image() -> None:
    with pytest.raises(NotAnImage) as caught:
        decode_bytes(b"?", name="x" * 5000 + "\n")
    assert len(str(caught.value)) < 400
    with pytest.raises(CorruptImage, match=r"two\\nlines\.png"):
        decode_bytes(png(1, 1), name="two\nlines.png")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ImageLimits, {"alpha": "black"}),
        (ImageLimits, {"max_pixels": 0}),
        (ImageLimits, {"max_bytes": -1}),
        (FetchLimits, {"timeout_s": 0}),
        (FetchLimits, {"timeout_s": float("nan")}),
        (FetchLimits, {"max_bytes": 0}),
        (FetchLimits, {"max_redirects": -1}),
    ],
)
def test_invalid_limits_are_errors(kind: type, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        kind(**options)


def test_several_threads_can_decode_at_once(photo: Image.Image, encode: Encode) -> None:
    files = [encode(photo, form) for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF")] * 5
    expected = [decode_bytes(data).rgb.tobytes() for data in files]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(lambda data: decode_bytes(data).rgb.tobytes(), files)) == expected


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data())
def test_a_damaged_image_is_an_image_or_a_decode_error(
    photo: Image.Image, encode: Encode, data: st.DataObject
) -> None:
    form = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]))
    damaged = bytearray(encode(photo, form))
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    ):
        damaged[place] = value
    # Any other error fails the test.
    with contextlib.suppress(DecodeError):
        image = decode_bytes(bytes(damaged), limits=ImageLimits(max_pixels=10**7))
        assert image.rgb.mode == "RGB"


def with_chunks(data: bytes, *chunks: bytes, at_end: bool = False) -> bytes:
    """A PNG with more chunks after its header, or before its end."""
    place = data.rindex(b"IEND") - 4 if at_end else 33
    return data[:place] + b"".join(chunks) + data[place:]


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2_000_000)))],
        [chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(bytes(2_000_000)))],
        [chunk(b"iCCP", b"printer\0\0" + zlib.compress(bytes(2_000_000)))],
        [chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(1_000_000)))] * 70,
    ],
)
def test_a_png_with_more_text_than_pillow_reads_is_decoded(
    photo: Image.Image, encode: Encode, chunks: list[bytes], at_end: bool
) -> None:
    data = with_chunks(encode(photo, "PNG"), *chunks, at_end=at_end)
    assert decode_bytes(data).rgb.tobytes() == photo.tobytes()


LONG = bytes(range(1, 251)) * 20_000  # 5 MB


def with_segments(data: bytes) -> bytes:
    """A JPEG with application segments of 60 kB each, and comments."""
    segments = (b"\xff" + bytes([marker]) + struct.pack(">H", 60_002) + LONG[:60_000] for marker in MARKERS)
    return data[:2] + b"".join(segments) * 20 + data[2:]


def with_comments(data: bytes) -> bytes:
    """A GIF with comments and XMP of 5 MB each after its palette."""
    place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    blocks = b"".join(b"\xfa" + LONG[n : n + 250] for n in range(0, len(LONG), 250)) + b"\0"
    return data[:place] + b"\x21\xfe" + blocks + b"\x21\xff\x0bXMP DataXMP" + blocks + data[place:]


MARKERS = (*range(0xE0, 0xF0), 0xFE)
TAGS = {700: LONG, 34377: LONG, 34675: LONG, 50000: LONG}


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"icc_profile": LONG}),
        ("PNG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + LONG}),
        ("WEBP", {"exif": LONG, "xmp": LONG, "icc_profile": LONG}),
        ("GIF", {}),
        ("TIFF", {"tiffinfo": TAGS}),
        ("TIFF", {"tiffinfo": TAGS, "compression": "tiff_lzw"}),
        ("AVIF", {"xmp": LONG, "icc_profile": LONG}),
    ],
)
def test_large_metadata_does_not_decide_in_any_format(
    photo: Image.Image, encode: Encode, form: str, options: dict[str, Any]
) -> None:
    plain = encode(photo, form)
    data = encode(photo, form, **options)
    data = {"JPEG": with_segments, "GIF": with_comments}.get(form, bytes)(data)
    assert len(data) > 5_000_000
    assert decode_bytes(data).rgb.tobytes() == decode_bytes(plain).rgb.tobytes()


def test_the_orientation_of_a_png_with_much_text_is_applied(photo: Image.Image, encode: Encode) -> None:
    much = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2_000_000)))
    xmp = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    long_xmp = xmp + b" " * 2_000_000
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = f"\nexif\n{len(exif.tobytes())}\n{exif.tobytes().hex()}\n".encode().ljust(2_000_000)
    plain = encode(photo, "PNG")
    for data in (
        with_chunks(plain, much, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        with_chunks(plain, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(long_xmp))),
        with_chunks(plain, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))),
        with_chunks(encode(photo, "PNG", exif=exif), much),
    ):
        assert decode_bytes(data).original_size == (36, 48)


@pytest.mark.parametrize(
    "broken",
    [
        chunk(b"acTL", b"\0"),
        chunk(b"fcTL", b"\0"),
        chunk(b"cHRM", b"\0"),
        chunk(b"gAMA", b"\0"),
        chunk(b"pHYs", b"\0"),
        chunk(b"sRGB", b""),
        chunk(b"zTXt", b"Comment\0\1text"),
        chunk(b"tEXt", b"Comment\0text")[:-4] + bytes(4),
        chunk(b"eXIf", b"II*\0")[:-4] + bytes(4),
    ],
    ids=["acTL", "fcTL", "cHRM", "gAMA", "pHYs", "sRGB", "zTXt", "checksum of a text", "checksum of EXIF"],
)
def test_a_png_with_broken_metadata_is_decoded(photo: Image.Image, encode: Encode, broken: bytes) -> None:
    assert decode_bytes(with_chunks(encode(photo, "PNG"), broken)).rgb.tobytes() == photo.tobytes()


def test_a_png_with_broken_pixels_is_an_error_whatever_its_metadata(
    photo: Image.Image, encode: Encode
) -> None:
    data = with_chunks(encode(photo, "PNG"), chunk(b"gAMA", b"\0"))
    place = data.index(b"IDAT") + 30
    with pytest.raises(CorruptImage):
        decode_bytes(data[:place] + b"????" + data[place + 4 :])


def test_a_broken_png_with_much_text_is_an_error(photo: Image.Image, encode: Encode) -> None:
    data = with_chunks(encode(photo, "PNG"), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000))))
    with pytest.raises(CorruptImage):
        decode_bytes(data[:-200])
