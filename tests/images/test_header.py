"""The size read from a header is the size that the decoder finds, and no bytes make reading it fail."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from images.decoding import decode_bytes
from pictag.errors import ImageTooLarge
from pictag.images.header import read_size
from pictag.images.limits import ImageLimits
from pictag.images.sniff import opened_names

FORMS = [
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    if name in map(str.upper, opened_names())
]


def encode(form: str, size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, "teal").save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (641, 480), (5000, 1)])
def test_the_header_gives_the_encoded_size(form: str, size: tuple[int, int]) -> None:
    assert read_size(encode(form, size)) == size


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"icc_profile": b"x" * 200_000, "exif": b"Exif\0\0" + b"y" * 60_000, "comment": b"z" * 999}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
    ],
)
def test_the_size_is_found_after_metadata(form: str, options: dict[str, Any]) -> None:
    assert read_size(encode(form, (321, 123), **options)) == (321, 123)


def test_a_bitmap_stored_top_down_has_its_size() -> None:
    data = bytearray(encode("BMP", (4, 3)))
    data[22:26] = (-3).to_bytes(4, "little", signed=True)
    assert read_size(bytes(data)) == (4, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"%PDF-1.7",
        b"\xff\xd8\xff" + b"\xff\xe0\x00\x02" * 10**5,
        b"\xff\xd8\xff" + bytes(10**6),
        b"\0\0\0\x10ftypavif" + bytes(100),
    ],
)
def test_data_without_a_size_gives_none(data: bytes) -> None:
    assert read_size(data) is None


@pytest.mark.skipif("AVIF" not in FORMS, reason="this Pillow has no AVIF")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_avif_is_rejected_before_decoding_by_any_size_that_it_announces(mode: str) -> None:
    """The image itself, or another item such as its transparency."""
    data = bytearray(encode("AVIF", (64, 48), mode=mode))
    assert read_size(bytes(data)) == (64, 48)
    at = data.rindex(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 5000, 4000)
    # A tag in front of the real one hides nothing.
    for hostile in (bytes(data), bytes(data[: at - 8]) + b"\0\0\0\0ispe" + bytes(data[at - 8 :])):
        assert read_size(hostile) == (5000, 4000)
        with pytest.raises(ImageTooLarge, match="5000×4000 is 20,000,000 pixels"):
            decode_bytes(hostile, limits=ImageLimits(max_pixels=100_000))


@given(st.sampled_from(FORMS), st.integers(0, 400), st.binary(max_size=40), st.booleans())
@example("TIFF", 8, b"\xff" * 8, False)
def test_no_bytes_make_reading_fail(form: str, place: int, junk: bytes, is_cut: bool) -> None:
    data = encode(form, (7, 5))
    broken = data[:place] + junk + (b"" if is_cut else data[place + len(junk) :])
    size = read_size(broken)
    assert size is None or len(size) == 2
