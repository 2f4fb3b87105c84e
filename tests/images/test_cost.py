"""Images that cost far more than their pixels are refused before a decoder begins."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pictag.errors import CorruptImage, DecodeError, ImageTooLarge
from pictag.images.cost import MOST_SCANS, check_scans, count_scans
from pictag.images.decode import decode, decode_bytes
from pictag.images.header import read_size
from pictag.images.limits import ImageLimits

PHOTO = Image.effect_noise((96, 80), 60).convert("RGB")


def jpeg(**options: object) -> bytes:
    stream = io.BytesIO()
    PHOTO.save(stream, "JPEG", **options)
    return stream.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def pack(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return data.replace(b"\xff", b"\xff\0")


def many_scans(count: int, side: int) -> bytes:
    """A grey progressive JPEG: a first scan, and so many that say of all blocks that nothing is in them."""
    blocks = (-(-side // 8)) ** 2
    assert blocks < 32_767
    power = blocks.bit_length() - 1
    tables = b"\0" + bytes([1] + [0] * 15) + b"\0"
    runs = b"\x10" + bytes([1] + [0] * 15) + bytes([power << 4])  # the end of the band for 2^power blocks on
    scan = segment(0xDA, b"\1\1\0\1\x3f\0") + pack("0" + format(blocks - 2**power, f"0{power}b"))
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\x10" * 64),
            segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"),
            segment(0xC4, tables),
            segment(0xC4, runs),
            segment(0xDA, b"\1\1\0\0\0\0") + pack("0" * blocks),
            scan * count,
            b"\xff\xd9",
        ]
    )


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


@pytest.mark.parametrize(
    ("data", "scans"),
    [
        (jpeg(), 1),
        (jpeg(progressive=True), 10),
        (jpeg(progressive=True, quality=95, subsampling=0), 10),
        (jpeg(progressive=True, exif=Image.Exif()), 10),
        (jpeg(progressive=True, restart_marker_blocks=1), 10),
        (many_scans(3, 64), 4),
    ],
)
def test_scans_are_counted(data: bytes, scans: int) -> None:
    assert count_scans(data) == scans
    assert count_scans(data + b"\xff\xda\0\x02" * 50) == scans  # after the image's end
    assert decode_bytes(data).format == "JPEG"


def test_a_thumbnail_or_a_profile_is_not_taken_for_scans() -> None:
    hidden = b"\xff\xda\0\x08" * 500
    data = jpeg(progressive=True, icc_profile=hidden, comment=hidden, exif=b"Exif\0\0" + hidden)
    assert count_scans(data) == 10
    assert decode_bytes(data).original_size == PHOTO.size


def test_more_scans_than_any_program_writes_are_refused_at_once() -> None:
    """Each takes a pass over the whole image: 1.6 MB of them kept a core busy for a minute."""
    assert decode_bytes(many_scans(MOST_SCANS - 1, 64)).original_size == (64, 64)
    started_s = time.process_time()
    with pytest.raises(CorruptImage, match=f"more than {MOST_SCANS} scans"):
        decode_bytes(many_scans(20_000, 1400), name="bomb.jpg")
    assert time.process_time() - started_s < 1


def test_one_component_after_the_other_may_have_several_scans_too() -> None:
    """Not progressive, but with the components apart: decoders go through all of them."""
    plain = jpeg()
    frame = plain.index(b"\xff\xc0")
    start = plain.index(b"\xff\xda")
    end_of_head = start + 2 + struct.unpack_from(">H", plain, start + 2)[0]
    one = segment(0xDA, b"\1\1\0\0\x3f\0")
    apart = plain[:start] + (one + plain[end_of_head:-2]) * 3 + b"\xff\xd9"
    assert plain[frame + 9] == 3
    assert count_scans(apart) == 3


def test_a_thumbnail_in_front_and_images_behind_are_not_counted() -> None:
    thumbnail = jpeg(progressive=True) * 20
    behind = many_scans(MOST_SCANS + 1, 64)  # as phones append films, and other views of the scene
    data = jpeg(progressive=True, exif=b"Exif\0\0" + thumbnail[:60_000]) + behind
    assert count_scans(data) == 10
    assert decode_bytes(data).original_size == PHOTO.size


@pytest.mark.parametrize(
    "flood", [b"\xff\xe0\0\2" * 500_000, b"\xff\x01" * 10**6, b"\xff" * 2 * 10**6], ids=["empty", "TEM", "FF"]
)
def test_a_flood_of_segments_is_refused_at_once(flood: bytes) -> None:
    data = jpeg(progressive=True)
    started_s = time.process_time()
    with pytest.raises(CorruptImage, match=r"^flood.jpg: the file has more than 10,000 segments"):
        decode_bytes(data[:2] + flood + data[2:], name="flood.jpg")
    assert time.process_time() - started_s < 0.3


def test_a_thousand_segments_of_metadata_do_no_harm() -> None:
    data = jpeg(progressive=True)
    data = data[:2] + segment(0xE1, bytes(100)) * 1000 + data[2:]
    assert decode_bytes(data).original_size == PHOTO.size


@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
def test_no_bytes_upset_the_counting(junk: bytes, at: int, is_progressive: bool) -> None:
    data = jpeg(progressive=is_progressive)
    for hostile in (junk, b"\xff\xd8" + junk, data[:at] + junk, data[:at] + junk + data[at:]):
        with contextlib.suppress(CorruptImage):
            assert 0 <= count_scans(hostile) <= MOST_SCANS


def test_a_tile_that_is_larger_than_an_image_may_be_is_refused() -> None:
    limits = ImageLimits(max_pixels=1_000_000)
    bomb = tiled_tiff(1, 1600)
    with pytest.raises(ImageTooLarge, match="tiles of 1600×1600 there are 2,560,000 pixels"):
        decode_bytes(bomb, name="bomb.tif", limits=limits)
    assert read_size(bomb) == (1600, 1600)  # what it costs, for whoever forecasts
    honest = tiled_tiff(20, 64)
    assert decode_bytes(honest, limits=limits).original_size == (20, 20)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_tiles_of_any_size_are_read_or_refused(width: int, length: int) -> None:
    data = bytearray(tiled_tiff(20, 64))
    at = data.rindex(struct.pack("<HHI", 322, 4, 1))
    struct.pack_into("<I", data, at + 8, width)
    struct.pack_into("<I", data, at + 20, length)
    try:
        decode_bytes(bytes(data), limits=ImageLimits(max_pixels=100_000))
    except DecodeError:
        return
    assert width * length <= 100_000


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


def retyped(data: bytes, kind: int) -> bytes:
    """A TIFF of one tile, whose sides are numbers of another type."""
    form = "<" + SIDE_TYPES.get(kind, "I")
    out = bytearray(data)
    at = out.rindex(struct.pack("<HHI", 322, 4, 1))
    value = struct.pack(form, BOMB_SIDE)
    for place in (at, at + 12):
        struct.pack_into("<H", out, place + 2, kind)
        if len(value) <= 4:
            out[place + 8 : place + 12] = value.ljust(4, b"\0")
        else:
            struct.pack_into("<I", out, place + 8, len(out))
            out += value
    return bytes(out)


@pytest.mark.parametrize("kind", [k for k in range(20) if k not in (1, 6)])  # a byte holds no such side
def test_no_type_of_number_hides_a_tile(kind: int) -> None:
    bomb = retyped(tiled_tiff(1, BOMB_SIDE), kind)
    with pytest.raises(DecodeError):
        decode_bytes(bomb, limits=ImageLimits(max_pixels=1_000_000))


def test_a_side_that_is_stated_twice_hides_no_tile() -> None:
    data = tiled_tiff(1, BOMB_SIDE)
    at = data.rindex(struct.pack("<HHI", 322, 4, 1))
    small = struct.pack("<HHII", 322, 4, 1, 16) + struct.pack("<HHII", 323, 4, 1, 16)
    entries = struct.unpack_from("<I", data, 4)[0]
    count = struct.pack("<H", struct.unpack_from("<H", data, entries)[0] + 2)
    for place in (at, at + 24):
        hidden = data[:entries] + count + data[entries + 2 : place] + small + data[place:]
        with pytest.raises(ImageTooLarge, match="tiles of 1600×1600"):
            decode_bytes(hidden, limits=ImageLimits(max_pixels=1_000_000))


def test_many_tiles_of_which_each_is_small_enough_are_refused_too() -> None:
    """An image one pixel wide, and tiles that are all wide: each takes as much as a whole image may."""
    data = bytearray(tiled_tiff(1, 64))
    for tag, value in ((257, 1000), (322, 100_000), (323, 10)):
        at = data.rindex(struct.pack("<HHI", tag, 4, 1))
        struct.pack_into("<I", data, at + 8, value)
    with pytest.raises(ImageTooLarge, match="tiles of 100000×10 there are 100,000,000 pixels"):
        decode_bytes(bytes(data), limits=ImageLimits(max_pixels=1_000_000))
    assert read_size(bytes(data)) == (100_000, 1000)


def test_strips_may_promise_more_rows_than_there_are() -> None:
    stream = io.BytesIO()
    PHOTO.save(stream, "TIFF", compression="tiff_deflate", tiffinfo={278: 2**32 - 1})
    image = decode_bytes(stream.getvalue(), limits=ImageLimits(max_pixels=96 * 80))
    assert image.rgb.tobytes() == PHOTO.tobytes()


def test_a_file_on_disk_is_checked_as_bytes_are(tmp_path: Path) -> None:
    limits = ImageLimits(max_pixels=1_000_000)
    for bomb in (many_scans(MOST_SCANS + 1, 64), tiled_tiff(1, BOMB_SIDE)):
        path = tmp_path / "bomb"
        path.write_bytes(bomb)
        with path.open("rb") as file, pytest.raises(DecodeError, match=r"scans|tiles"):
            decode(file, limits=limits)
    for form in ("JPEG", "TIFF", "AVIF"):
        PHOTO.save(path, form)
        with path.open("rb") as file:
            assert decode(file, limits=limits).original_size == PHOTO.size


class Counted(io.BytesIO):
    """A stream that counts what is read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def test_of_one_scan_no_more_than_the_head_is_read() -> None:
    noise = Image.effect_noise((1200, 900), 80)
    for is_progressive in (False, True):
        stream = io.BytesIO()
        noise.save(stream, "JPEG", quality=95, progressive=is_progressive)
        size = stream.tell()
        counted = Counted(stream.getvalue())
        check_scans(counted, name="noise.jpg")
        assert size > 500_000
        assert counted.read_bytes == (size if is_progressive else 65_536)
