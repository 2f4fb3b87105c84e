"""JPEG files that cost far more than their pixels are rejected before a decoder starts."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images.decoding import decode_bytes
from images.test_tiff import tiled_tiff
from pictag.errors import CorruptImage, DecodeError
from pictag.images.decode import decode
from pictag.images.jpeg import MAX_SCANS, check_scans
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
    """A grey progressive JPEG: one scan, and ``count`` more that declare every block empty."""
    blocks = (-(-side // 8)) ** 2
    assert blocks < 32_767
    power = blocks.bit_length() - 1
    tables = b"\0" + bytes([1] + [0] * 15) + b"\0"
    runs = b"\x10" + bytes([1] + [0] * 15) + bytes([power << 4])  # end of band for 2^power blocks
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


HIDDEN_SCANS = b"\xff\xda\0\x08" * 500
THUMBNAILS = jpeg(progressive=True) * 20


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg(progressive=True),
        jpeg(progressive=True, quality=95, subsampling=0),
        jpeg(progressive=True, restart_marker_blocks=1),
        jpeg(
            progressive=True,
            icc_profile=HIDDEN_SCANS,
            comment=HIDDEN_SCANS,
            exif=b"Exif\0\0" + HIDDEN_SCANS,
        ),
        jpeg(progressive=True, exif=b"Exif\0\0" + THUMBNAILS[:60_000]),
        many_scans(3, 64),
    ],
    ids=["baseline", "progressive", "4:4:4", "restarts", "metadata", "thumbnail", "grey"],
)
def test_only_scans_of_the_image_itself_are_counted(data: bytes) -> None:
    assert decode_bytes(data).format == "JPEG"
    # Phones append films and other views of the scene.
    check_scans(io.BytesIO(data + many_scans(MAX_SCANS + 1, 64)), name="photo.jpg")


def test_more_scans_than_any_program_writes_are_rejected() -> None:
    """Each takes a pass over the whole image: 1.6 MB of them kept a CPU busy for a minute."""
    assert decode_bytes(many_scans(MAX_SCANS - 1, 64)).original_size == (64, 64)
    with pytest.raises(CorruptImage, match=f"more than {MAX_SCANS} scans"):
        decode_bytes(many_scans(20_000, 1400))


def test_scans_of_single_components_are_counted_in_a_baseline_jpeg() -> None:
    plain = jpeg()
    start = plain.index(b"\xff\xda")
    end_of_head = start + 2 + struct.unpack_from(">H", plain, start + 2)[0]
    one = segment(0xDA, b"\1\1\0\0\x3f\0")
    scan = one + plain[end_of_head:-2]
    check_scans(io.BytesIO(plain[:start] + scan * MAX_SCANS + b"\xff\xd9"), name="few.jpg")
    with pytest.raises(CorruptImage, match=f"more than {MAX_SCANS} scans"):
        check_scans(io.BytesIO(plain[:start] + scan * (MAX_SCANS + 1) + b"\xff\xd9"), name="many.jpg")


@pytest.mark.parametrize(
    "flood",
    [b"\xff\xe0\0\2" * 500_000, b"\xff\x01" * 10**6, b"\xff" * 2 * 10**6, b"\xff\0" * 10**6],
    ids=["empty", "TEM", "FF", "FF00"],
)
def test_a_flood_of_segments_or_padding_is_rejected(flood: bytes) -> None:
    data = jpeg(progressive=True)
    with pytest.raises(CorruptImage, match=r"^flood.jpg: the file has more than 10,000 segments"):
        decode_bytes(data[:2] + flood + data[2:], name="flood.jpg")


def test_a_thousand_segments_of_metadata_are_accepted() -> None:
    data = jpeg(progressive=True)
    data = data[:2] + segment(0xE1, bytes(100)) * 1000 + data[2:]
    assert decode_bytes(data).original_size == PHOTO.size


@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
def test_any_bytes_can_be_checked(junk: bytes, at: int, is_progressive: bool) -> None:
    data = jpeg(progressive=is_progressive)
    for hostile in (junk, b"\xff\xd8" + junk, data[:at] + junk, data[:at] + junk + data[at:]):
        with contextlib.suppress(CorruptImage):
            check_scans(io.BytesIO(hostile), name="junk.jpg")


def test_a_file_on_disk_is_checked_like_bytes(tmp_path: Path) -> None:
    limits = ImageLimits(max_pixels=1_000_000)
    path = tmp_path / "bomb"
    for bomb in (many_scans(MAX_SCANS + 1, 64), tiled_tiff(1, 1600)):
        path.write_bytes(bomb)
        with path.open("rb") as file, pytest.raises(DecodeError, match=r"scans|tiles"):
            decode(file, limits=limits)
    for form in ("JPEG", "TIFF", "AVIF"):
        PHOTO.save(path, form)
        with path.open("rb") as file:
            assert decode(file, limits=limits).original_size == PHOTO.size


class CountingStream(io.BytesIO):
    """A stream that counts the bytes read from it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


@pytest.mark.parametrize("is_progressive", [False, True])
def test_a_baseline_jpeg_is_checked_from_its_head_alone(is_progressive: bool) -> None:
    stream = io.BytesIO()
    Image.effect_noise((1200, 900), 80).save(stream, "JPEG", quality=95, progressive=is_progressive)
    size = stream.tell()
    counting = CountingStream(stream.getvalue())
    check_scans(counting, name="noise.jpg")
    assert size > 500_000
    assert counting.read_bytes == (size if is_progressive else 65_536)
