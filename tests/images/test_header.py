"""A header's size is what the decoder finds, and no bytes make reading it fail."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from pictag.images.header import read_size
from pictag.images.sniff import opened_names

FORMS = [
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    if name in map(str.upper, opened_names())
]


def encode(form: str, size: tuple[int, int], **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, "teal").save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (641, 480), (5000, 1)])
def test_the_header_says_what_the_decoder_finds(form: str, size: tuple[int, int]) -> None:
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
def test_the_size_is_found_behind_what_else_a_file_may_hold(form: str, options: dict[str, object]) -> None:
    assert read_size(encode(form, (321, 123), **options)) == (321, 123)


def test_a_bitmap_that_is_upside_down_has_its_size() -> None:
    data = bytearray(encode("BMP", (4, 3)))
    data[22:26] = (-3).to_bytes(4, "little", signed=True)
    assert read_size(bytes(data)) == (4, 3)


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"%PDF-1.7", b"\xff\xd8\xff" + b"\xff\xe0\x00\x02" * 10**5]
)
def test_where_there_is_no_size_there_is_none(data: bytes) -> None:
    assert read_size(data) is None


@given(st.sampled_from(FORMS), st.integers(0, 400), st.binary(max_size=40), st.booleans())
@example("TIFF", 8, b"\xff" * 8, False)
def test_no_bytes_make_it_fail(form: str, place: int, junk: bytes, is_cut: bool) -> None:
    data = encode(form, (7, 5))
    broken = data[:place] + junk + (b"" if is_cut else data[place + len(junk) :])
    size = read_size(broken)
    assert size is None or len(size) == 2
