"""What AVIF's frames measure is read from the frames, whatever the file says of them."""

from __future__ import annotations

import contextlib
import io
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images.boxed import avif, bits, box, film, frame, still, track, unit
from pictag.errors import CorruptImage, ImageTooLarge
from pictag.images.av1 import frame_sizes
from pictag.images.cost import check_frames
from pictag.images.decode import decode_bytes
from pictag.images.header import read_size
from pictag.images.limits import ImageLimits
from pictag.images.sniff import opens_avif

needs_avif = pytest.mark.skipif(not opens_avif(), reason="this Pillow has no AVIF")
LIMITS = ImageLimits(max_pixels=100_000)
STILL = still(640, 480) + unit(6, bytes(9))


def encode(mode: str, size: tuple[int, int], frames: int = 1) -> bytes:
    stream = io.BytesIO()
    images = [Image.new(mode, size, n) for n in range(frames)]
    images[0].save(stream, "AVIF", speed=10, save_all=frames > 1, append_images=images[1:])
    return stream.getvalue()


def lying(data: bytes, size: tuple[int, int]) -> bytes:
    """The file, announcing another size."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", *size) + data[at + 8 :]


@needs_avif
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (641, 480), (3000, 1)])
def test_it_is_what_was_encoded(size: tuple[int, int]) -> None:
    assert frame_sizes(encode("RGB", size)) == [size]
    assert frame_sizes(encode("RGBA", size)) == [size] * 2


@needs_avif
def test_of_an_animation_the_first_frame_counts() -> None:
    # Once as a film's and once as a still image.
    assert frame_sizes(encode("RGB", (65, 49), frames=20)) == [(65, 49)] * 2


@needs_avif
def test_a_file_that_announces_less_than_is_coded_in_it_is_refused() -> None:
    data = lying(encode("RGB", (640, 480)), (64, 64))
    with pytest.raises(
        ImageTooLarge, match=r"^lie\.avif: 640×480 is coded in it, 307,200 pixels; the limit is 100,000"
    ):
        decode_bytes(data, name="lie.avif", limits=LIMITS)
    assert read_size(data) == (640, 480)
    assert decode_bytes(data).original_size == (64, 64)


@needs_avif
def test_hidden_frames_are_counted() -> None:
    """A decoder goes through all that come before the first that is shown."""
    data = encode("RGB", (64, 64))
    start = data.index(b"mdat") + 4
    length = len(data) - start
    data = (
        data.replace(struct.pack(">II", start, length), struct.pack(">II", start, 10 * length))
        + data[start:] * 9
    )
    assert frame_sizes(data) == [(64, 64)] * 10
    with pytest.raises(
        ImageTooLarge, match="10 frames are coded in it, 40,960 pixels in all; the limit for that is 40,000"
    ):
        decode_bytes(data, limits=ImageLimits(max_pixels=10_000))
    assert decode_bytes(data, limits=ImageLimits(max_pixels=20_000)).original_size == (64, 64)


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("cuts", [1, 3])
def test_items_are_found_wherever_their_data_lies(version: int, cuts: int) -> None:
    for is_inside in {False, version > 0}:
        data = avif([STILL, b"", STILL], version=version, is_inside=is_inside, cuts=cuts)
        assert frame_sizes(data) == [(640, 480)] * 2


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("has_one_length", [False, True])
def test_a_films_first_sample_is_found(is_wide: bool, has_one_length: bool) -> None:
    assert frame_sizes(track(STILL, is_wide=is_wide, has_one_length=has_one_length)) == [(640, 480)]


def test_what_is_no_coded_image_is_passed_over() -> None:
    # XML begins like the unit of a frame.
    assert frame_sizes(avif([STILL + b"<?xpacket"], kind=b"mime")) == []
    assert frame_sizes(avif([unit(2, b"") + unit(5, b"<?xml") + STILL])) == [(640, 480)]


def test_what_decoders_do_not_look_at_hides_nothing() -> None:
    forbidden = bytes([still(64, 48)[0] | 0x80]) + still(64, 48)[1:]
    assert frame_sizes(avif([forbidden + unit(6, b"")])) == [(64, 48)]
    broken = unit(1, b"") + unit(6, b"")
    assert frame_sizes(avif([broken + STILL])) == [(640, 480)] * 2
    begun = [(0, 3), (0, 2), (1, 1), (1, 32), (1, 32), (1, 1)]  # up to a number of 32 zeros, and no one
    rest = [(0, 32), (0, 1), (0, 1), (0, 5), (0, 12), (0, 5), (11, 4), (10, 4), (639, 12), (479, 11), (0, 40)]
    assert frame_sizes(avif([unit(1, bits(*begun, *rest)) + unit(6, bytes(9))])) == [(640, 480)]


def test_tables_that_are_there_twice_hide_no_sample() -> None:
    true, decoy = track(STILL), box(b"co64", bytes(4), struct.pack(">IQ", 1, 0))
    at = true.index(b"stbl") + 4
    for extra in (decoy, box(b"stsz", bytes(4), struct.pack(">III", 1, 1, 1))):
        data = (
            true[: at - 8] + struct.pack(">I", len(true) - at + 8 + len(extra)) + b"stbl" + extra + true[at:]
        )
        for kind in (b"minf", b"mdia", b"trak", b"moov"):
            place = data.index(kind) - 4
            data = data[:place] + struct.pack(">I", len(data) - place) + data[place + 4 :]
        assert (640, 480) in frame_sizes(data)


def test_the_last_unit_may_go_without_its_length() -> None:
    assert frame_sizes(avif([still(64, 48) + unit(6, bytes(9), has_length=False)])) == [(64, 48)]


@pytest.mark.parametrize("has_model", [False, True])
@pytest.mark.parametrize("is_shown", [False, True])
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_a_frame_with_a_size_of_its_own_is_taken_for_the_largest_it_can_be(
    has_model: bool, is_shown: bool, kind: int
) -> None:
    start = film(1000, 700, has_model=has_model)
    for has_own_size in (False, True):
        code = frame(has_own_size=has_own_size, kind=kind, is_shown=is_shown, time_bits=7 if has_model else 0)
        expected = (4096, 2048) if has_own_size or kind == 3 else (1000, 700)
        assert frame_sizes(avif([start + code])) == [expected]


def test_a_tile_without_a_header_is_decoded_with_the_last_ones() -> None:
    assert frame_sizes(avif([unit(6, b""), STILL, unit(3, b"")])) == [(640, 480)] * 3


def test_an_image_of_tiles_may_be_as_large_as_the_limit() -> None:
    tile = still(512, 512) + unit(6, b"")
    tiles = io.BytesIO(avif([tile] * 200))
    check_frames(tiles, name="tiles.avif", limits=ImageLimits(max_pixels=50_000_000))
    with pytest.raises(ImageTooLarge, match="200 frames are coded in it"):
        check_frames(tiles, name="tiles.avif", limits=ImageLimits(max_pixels=1_000_000))


@pytest.mark.parametrize(
    "data",
    [
        avif([]) + box(b"free") * 10**6,
        box(b"moov") * 10**6,
        avif([unit(15, b"") * 10**6]),
        avif([STILL] * 20_000),
    ],
    ids=["boxes", "containers", "units", "items"],
)
def test_more_parts_than_any_image_has_are_refused_at_once(data: bytes) -> None:
    started_s = time.process_time()
    with pytest.raises(CorruptImage, match=r"parts.avif: the file has more than 10,000 parts\. Save it anew"):
        check_frames(io.BytesIO(data), name="parts.avif", limits=LIMITS)
    assert time.process_time() - started_s < 0.3
    assert read_size(b"\0\0\0\x10ftypavif" + bytes(4) + data) is None


@needs_avif
def test_a_forecast_looks_at_fewer_parts_than_a_check() -> None:
    """It is made in a server's event loop; where there is none, an image counts as the largest."""
    data = encode("RGB", (65, 49))
    few, many = data + box(b"free") * 500, data + box(b"free") * 2000
    assert frame_sizes(few) == frame_sizes(many) == [(65, 49)]
    assert read_size(few) == (65, 49)
    assert read_size(many) is None


def test_data_that_is_used_again_and_again_is_refused() -> None:
    payload = still(64, 48) + unit(6, bytes(200_000), has_length=False)
    data = avif([payload], cuts=2)
    half = -(-len(payload) // 2)
    start = data.index(b"mdat") + 4
    extent = struct.pack(">II", half, len(payload) - half)
    assert data.count(extent) == 1
    data = data.replace(extent, struct.pack(">II", 0, len(data) - start))
    with pytest.raises(CorruptImage, match="share their data"):
        frame_sizes(data)


def test_boxes_in_boxes_have_no_end() -> None:
    deep = b""
    for _ in range(5000):
        deep = box(b"moov", deep)
    assert frame_sizes(deep) == []


WHOLE = [
    avif([STILL, film(50, 40) + frame(has_own_size=True)], version=1, is_inside=True),
    avif([film(50, 40, has_model=True) + frame(has_own_size=True, time_bits=7)], cuts=2)[70_000:],
    track(STILL),
]


@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(1, 600), st.integers(0, 255)), max_size=8),
    st.integers(0, 600),
)
def test_no_bytes_make_it_fail(data: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[-min(place, len(damaged))] = value
    for hostile in (bytes(damaged), bytes(damaged[:-cut])):
        with contextlib.suppress(CorruptImage):
            assert all(
                width > 0 and height > 0
                for width, height in frame_sizes(hostile)
                if (width, height) != (0, 0)
            )


@given(st.binary(max_size=80))
def test_no_code_makes_it_fail(code: bytes) -> None:
    for payload in (code, unit(1, code), film(64, 48) + unit(6, code), unit(1, code) + unit(6, code)):
        assert isinstance(frame_sizes(avif([payload])), list)
