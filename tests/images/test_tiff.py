"""TIFF files whose tiles cost far more than their pixels are rejected before they are decoded."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images.decoding import decode_bytes
from pictag.errors import DecodeError, ImageTooLarge
from pictag.images.header import read_size
from pictag.images.limits import ImageLimits

LIMITS = ImageLimits(max_pixels=1_000_000)
BOMB_SIDE = 1600
SIDE_TYPES = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}


def tiled_tiff(side: int, tile: int) -> bytes:
    """A grey image in one tile, which may be larger than the image."""
    deflate = zlib.compressobj(9)
    rows = [deflate.compress(bytes(tile)) for _ in range(tile)]
    data = b"".join(rows) + deflate.flush()
    data += b"\0" * (len(data) % 2)
    tags = [
        (256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
        (322, 4, tile), (323, 4, tile), (324, 4, 8), (325, 4, len(data)),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack("<HHI", tag, kind, 1)
        + struct.pack("<HH" if kind == 3 else "<I", *([value, 0] if kind == 3 else [value]))
        for tag, kind, value in tags
    )
    return (
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


def with_tags(data: bytes, values: dict[int, int]) -> bytes:
    """The file with other values of its 32-bit tags."""
    changed = bytearray(data)
    for tag, value in values.items():
        struct.pack_into("<I", changed, changed.rindex(struct.pack("<HHI", tag, 4, 1)) + 8, value)
    return bytes(changed)


def with_tile_type(data: bytes, kind: int) -> bytes:
    """A TIFF of one tile, whose sides are numbers of another type."""
    out = bytearray(data)
    at = out.rindex(struct.pack("<HHI", 322, 4, 1))
    value = struct.pack("<" + SIDE_TYPES.get(kind, "I"), BOMB_SIDE)
    for place in (at, at + 12):
        struct.pack_into("<H", out, place + 2, kind)
        if len(value) <= 4:
            out[place + 8 : place + 12] = value.ljust(4, b"\0")
        else:
            struct.pack_into("<I", out, place + 8, len(out))
            out += value
    return bytes(out)


def test_a_tile_with_more_pixels_than_the_limit_is_rejected() -> None:
    bomb = tiled_tiff(1, BOMB_SIDE)
    with pytest.raises(ImageTooLarge, match=r"^bomb.tif: .* tiles of 1600×1600 takes 2,560,000 pixels"):
        decode_bytes(bomb, name="bomb.tif", limits=LIMITS)
    assert read_size(bomb) == (BOMB_SIDE, BOMB_SIDE)
    assert decode_bytes(tiled_tiff(20, 64), limits=LIMITS).original_size == (20, 20)


def test_small_tiles_that_cover_far_more_than_the_image_are_rejected() -> None:
    """The image is one pixel wide and every tile is wide, so each row costs as much as a large image's."""
    data = with_tags(tiled_tiff(1, 64), {257: 1000, 322: 100_000, 323: 10})
    with pytest.raises(ImageTooLarge, match="tiles of 100000×10 takes 100,000,000 pixels"):
        decode_bytes(data, limits=LIMITS)
    assert read_size(data) == (100_000, 1000)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_tiles_of_any_size_are_read_or_rejected(width: int, length: int) -> None:
    try:
        decode_bytes(
            with_tags(tiled_tiff(20, 64), {322: width, 323: length}), limits=ImageLimits(max_pixels=100_000)
        )
    except DecodeError:
        return
    assert width * length <= 100_000


@pytest.mark.parametrize("kind", [k for k in range(20) if k not in (1, 6)])  # a byte can't hold this side
def test_the_number_type_of_a_tag_does_not_hide_a_tile(kind: int) -> None:
    with pytest.raises(DecodeError):
        decode_bytes(with_tile_type(tiled_tiff(1, BOMB_SIDE), kind), limits=LIMITS)


def test_a_duplicate_tag_does_not_hide_a_tile() -> None:
    data = tiled_tiff(1, BOMB_SIDE)
    at = data.rindex(struct.pack("<HHI", 322, 4, 1))
    small = struct.pack("<HHII", 322, 4, 1, 16) + struct.pack("<HHII", 323, 4, 1, 16)
    entries = struct.unpack_from("<I", data, 4)[0]
    count = struct.pack("<H", struct.unpack_from("<H", data, entries)[0] + 2)
    for place in (at, at + 24):
        hidden = data[:entries] + count + data[entries + 2 : place] + small + data[place:]
        with pytest.raises(ImageTooLarge, match="tiles of 1600×1600"):
            decode_bytes(hidden, limits=LIMITS)


def test_strips_may_announce_more_rows_than_there_are(photo: Image.Image) -> None:
    stream = io.BytesIO()
    photo.save(stream, "TIFF", compression="tiff_deflate", tiffinfo={278: 2**32 - 1})
    image = decode_bytes(stream.getvalue(), limits=ImageLimits(max_pixels=photo.width * photo.height))
    assert image.rgb.tobytes() == photo.tobytes()
