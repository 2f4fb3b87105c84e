"""What a TIFF's values mean, and which of its images is read: never the negative, never a preview."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from images.decoding import decode_bytes
from images.tiffs import Order, Page, make_tiff, text
from pictag.errors import CorruptImage, FormatRefused, PictagWarning
from pictag.images import make_source, read_image
from pictag.images.libtiff import has_codec

Encode = Callable[..., bytes]
RED = np.full((6, 8, 3), (255, 40, 0), np.uint8)
LARGE_RED = np.full((60, 80, 3), (255, 40, 0), np.uint8)
SENSOR = Page(values=np.full((60, 80), 1000, np.uint16), photometric=32803)
LINEAR = Page(values=np.full((60, 80, 3), 1000, np.uint16), photometric=34892)
SEPARATE = {284: (3, (2,))}
REDUCED = {254: (4, (1,))}
DNG = {50706: (1, (1, 4, 0, 0))}


def grey(data: bytes) -> list[int]:
    """The first row's red values."""
    return [int(value) for value in np.asarray(decode_bytes(data).rgb)[0, :, 0]]


def compressed(values: Any, photometric: int) -> bytes:
    """Written by Pillow, which writes WhiteIsZero with the values unchanged."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF", compression="tiff_deflate", tiffinfo={262: photometric})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (np.array([[0, 32768, 65535]], np.uint16), "<"),
        (np.array([[0, 128, 255]], np.uint8), "<"),
        (np.array([[0, 128, 255]], np.uint8), ">"),
        (np.array([[0, 0.5, 1]], np.float32), "<"),
        (np.array([[0, 0.5, 1]], np.float32), ">"),
        (np.array([[0, 128, 255]], np.float32), "<"),
    ],
)
def test_white_is_zero_is_inverted_at_every_depth(values: Any, order: Order) -> None:
    assert grey(make_tiff(Page(values=values, photometric=1), order=order)) == [0, 128, 255]
    assert grey(make_tiff(Page(values=values, photometric=0), order=order)) in ([255, 127, 0], [255, 128, 0])


def test_compressed_white_is_zero_is_inverted_too() -> None:
    data = compressed(np.array([[0, 32768, 65535]], np.uint16), 0)
    with Image.open(io.BytesIO(data)) as opened:
        assert getattr(opened, "tag_v2", {})[262] == 0
    assert grey(data) == [255, 127, 0]


def test_an_image_that_the_caller_opened_with_pillow_is_inverted_too() -> None:
    data = make_tiff(Page(values=np.array([[0, 65535]], np.uint16), photometric=0))
    with Image.open(io.BytesIO(data)) as opened:
        assert np.asarray(read_image(make_source(opened)).rgb)[0, :, 0].tolist() == [255, 0]


def test_a_depth_that_pillow_opens_only_as_black_is_zero_is_refused_with_the_reason() -> None:
    refused: tuple[tuple[Order, Any], ...] = ((">", np.uint16), ("<", np.int16), ("<", np.uint32))
    for order, dtype in refused:
        with pytest.raises(FormatRefused, match=r"this kind of TIFF .*PhotometricInterpretation 0"):
            grey(make_tiff(Page(values=np.array([[0, 1]], dtype), photometric=0), order=order))


def test_grey_without_its_sense_is_an_error() -> None:
    for dtype in (np.uint8, np.uint16, np.float32):
        page = Page(values=np.array([[0, 1]], dtype), tags={262: None})
        with pytest.raises(CorruptImage, match="whether 0 is black or white"):
            grey(make_tiff(page))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 2**31, 2**32 - 1]], np.uint32), [0, 128, 255]),
        (np.array([[2**31 + 10, 2**31 + 20, 2**31 + 30]], np.uint32), [0, 128, 255]),
        (np.array([[0, 100, 2**31]], np.uint32), [0, 0, 255]),
        (np.array([[-(2**31), 0, 2**31 - 1]], np.int32), [0, 128, 255]),
        (np.array([[-1000, 0, 1000]], np.int16), [0, 128, 255]),
        (np.array([[-128, 0, 127]], np.int8), [0, 128, 255]),
        (np.array([[-1, 0, 1]], np.int8), [0, 128, 255]),
    ],
)
def test_large_and_negative_integers_keep_their_order(values: Any, expected: list[int]) -> None:
    with pytest.warns(PictagWarning, match="stretched"):
        assert grey(make_tiff(Page(values=values))) == expected


def test_small_integers_of_any_type_are_unchanged() -> None:
    for dtype in (np.int8, np.uint32, np.int32, np.int16):
        assert grey(make_tiff(Page(values=np.array([[0, 7, 127]], dtype)))) == [0, 7, 127]
    assert grey(make_tiff(Page(values=np.array([[0, 257, 65535]], np.uint32)))) == [0, 1, 255]


@pytest.mark.parametrize("scale", [1, 256, 257])
def test_a_palette_of_8_bit_colours_is_not_black(scale: int) -> None:
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 1] = (255, 40, 0)
    palette = (3, tuple(int(value) * scale for value in colours.ravel()))
    data = make_tiff(Page(values=np.array([[1, 0]], np.uint8), photometric=3, tags={320: palette}))
    assert np.asarray(decode_bytes(data).rgb).tolist() == [[[255, 40, 0], [0, 0, 0]]]
    with Image.open(io.BytesIO(data)) as opened:
        assert read_image(make_source(opened)).rgb.getpixel((0, 0)) == (255, 40, 0)


RAW = {
    "NEF": Page(values=RED, photometric=2, tags={**REDUCED, 271: text("NIKON")}, children=(SENSOR,)),
    "DNG": Page(values=RED, photometric=2, tags={**REDUCED, **DNG}, children=(LINEAR,)),
    "DNG without a preview": Page(values=SENSOR.values, photometric=32803, tags={**DNG}),
    "linear DNG": Page(values=LINEAR.values, photometric=34892, tags={**DNG}),
    "PEF": Page(values=SENSOR.values, photometric=32803, tags={271: text("PENTAX"), 259: (3, (65535,))}),
    "SRW": Page(
        values=RED,
        photometric=2,
        tags={**REDUCED, 271: text("SAMSUNG")},
        children=(Page(values=RED, photometric=2), SENSOR),
    ),
    "3FR": Page(values=RED, photometric=2, tags={255: (3, (2,)), 271: text("Imacon")}, children=(SENSOR,)),
    "a preview without the tag": Page(values=RED, photometric=2, children=(SENSOR,)),
}


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_camera_raw_file_is_refused_instead_of_its_preview(name: str, order: Order) -> None:
    with pytest.raises(FormatRefused, match=r"^photo\.tif: camera raw .*Convert it .*exiftool") as caught:
        decode_bytes(make_tiff(RAW[name], order=order), name="photo.tif")
    maker = RAW[name].tags.get(271)
    kind = "DNG" if 50706 in RAW[name].tags else f"of {bytes(maker[1][:-1]).decode()}" if maker else "TIFF"
    assert f"camera raw ({kind}) is not supported" in str(caught.value)


def test_a_sensor_image_after_the_preview_is_found() -> None:
    """Some formats list their images one after the other instead of as sub-images."""
    preview = Page(values=RED, photometric=2, tags={271: text("Canon")})
    with pytest.raises(FormatRefused, match=r"camera raw \(of Canon\)"):
        decode_bytes(make_tiff(preview, Page(values=RED, photometric=2), SENSOR))


def test_a_sub_image_that_cannot_be_read_does_not_hide_a_preview() -> None:
    page = Page(values=RED, photometric=2, tags={**REDUCED, 330: (4, (2_000_000,))})
    with pytest.raises(FormatRefused, match=r"camera raw"):
        decode_bytes(make_tiff(page))


def test_the_preview_that_pillow_opens_from_a_camera_raw_file_is_refused() -> None:
    for name in ("NEF", "DNG", "SRW"):
        with (
            Image.open(io.BytesIO(make_tiff(RAW[name]))) as opened,
            pytest.raises(FormatRefused, match="camera raw"),
        ):
            read_image(make_source(opened))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"II*\0\x10\0\0\0CR\2\0", "Canon CR2"),
        (b"II\x1a\0\0\0HEAPCCDR\2\0", "Canon CRW"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "Canon CR3"),
        (b"IIRO\x08\0\0\0", "Olympus ORF"),
        (b"IIRS\x08\0\0\0", "Olympus ORF"),
        (b"MMOR\0\0\0\x08", "Olympus ORF"),
        (b"IIU\0\x18\0\0\0", "Panasonic RW2"),
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm RAF"),
        (b"II*\0\x08\0\0\0IIII\1waR", "Phase One IIQ"),
        (b"MM\0*\0\0\0\x08MMMMRaw\1", "Phase One IIQ"),
        (b"\0MRM\0\0\x80\0", "Minolta MRW"),
        (b"FOVb\3\0\2\0", "Sigma X3F"),
    ],
)
def test_a_camera_raw_format_with_a_magic_number_is_refused_by_name(head: bytes, kind: str) -> None:
    message = rf"^photo\.jpg: camera raw \({kind}\) is not supported\. Convert it"
    with pytest.raises(FormatRefused, match=message):
        decode_bytes(head + bytes(100), name="photo.jpg")


def test_grey_pixels_that_look_like_a_magic_number_are_read() -> None:
    """Many writers put the pixels right after the header."""
    for value in (0x49, 0x4D):
        page = Page(values=np.full((4, 4), value, np.uint8))
        assert grey(make_tiff(page)) == [value] * 4


def test_the_first_image_of_a_pyramid_or_a_document_is_read() -> None:
    full = Page(values=LARGE_RED, photometric=2)
    half = Page(values=RED, photometric=2, tags=REDUCED)
    mask = Page(values=np.zeros((60, 80), np.uint8), tags={254: (4, (4,))})
    for data in (
        make_tiff(full, half),
        make_tiff(full, half, mask),
        make_tiff(Page(values=LARGE_RED, photometric=2, children=(half, half))),
        make_tiff(Page(values=LARGE_RED, photometric=2, tags={254: (4, (2,))}), full, full),
    ):
        assert decode_bytes(data).original_size == (80, 60)


def test_a_lone_reduced_image_is_read() -> None:
    """A tool that has extracted a thumbnail may have kept its tags."""
    assert decode_bytes(make_tiff(Page(values=RED, photometric=2, tags=REDUCED))).original_size == (8, 6)


def test_a_reduced_image_before_the_full_one_is_refused_with_the_reason() -> None:
    data = make_tiff(Page(values=RED, photometric=2, tags=REDUCED), Page(values=LARGE_RED, photometric=2))
    with pytest.raises(FormatRefused, match=r"first image .*\(8×6\) is a reduced version .*\(80×60\)"):
        decode_bytes(data)


def test_directories_in_a_circle_are_read_once() -> None:
    data = bytearray(make_tiff(Page(values=RED, photometric=2)))
    (place,) = struct.unpack_from("<I", data, 4)
    data[-4:] = struct.pack("<I", place)
    assert decode_bytes(bytes(data)).original_size == (8, 6)


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (Page(values=np.ones((2, 2, 3), np.float32), photometric=2), "3 channels of 32-bit floats"),
        (Page(values=np.ones((2, 2), np.float64)), "1 channel of 64-bit floats"),
        (Page(values=np.ones((2, 2, 2), np.uint16)), "2 channels of 16-bit unsigned integers"),
        (Page(values=RED, photometric=2, tags={259: (3, (34712,))}), "Compression 34712"),
        (Page(values=RED, photometric=9), "PhotometricInterpretation 9"),
        (Page(values=RED, photometric=5, tags={338: (3, (1,))}), "PhotometricInterpretation 5"),
        (Page(values=np.ones((2, 2, 5), np.uint8), photometric=2, tags=SEPARATE), "5 channels .* planes"),
        (Page(values=np.ones((2, 2), np.uint8), photometric=0, tags={266: (3, (2,))}), "1 channel of 8-bit"),
    ],
)
def test_a_sound_tiff_of_an_unsupported_kind_is_refused_with_what_it_contains(page: Page, kind: str) -> None:
    with pytest.raises(FormatRefused, match=kind):
        decode_bytes(make_tiff(page))


def test_a_compression_that_this_libtiff_lacks_is_refused_with_its_number() -> None:
    lacking = next(number for number in (50001, 50000, 34925, 34887) if not has_codec(number))
    with pytest.raises(FormatRefused, match=f"Compression {lacking}"):
        decode_bytes(make_tiff(Page(values=RED, photometric=2, tags={259: (3, (lacking,))})))


def make_planes(values: Any, photometric: int, order: Order) -> bytes:
    """An uncompressed TIFF that has one channel after the other."""
    height, width, channels = values.shape
    size = height * width * values.dtype.itemsize
    places = {273: (4, tuple(8 + n * size for n in range(channels))), 279: (4, (size,) * channels)}
    turned = np.moveaxis(values, 2, 0).reshape(values.shape)
    return make_tiff(Page(values=turned, photometric=photometric, tags={**SEPARATE, **places}), order=order)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("photometric", "mode"), [(2, "RGB"), (2, "RGBA"), (5, "CMYK")])
def test_channels_in_separate_planes_are_read_at_every_depth(
    photo: Image.Image, order: Order, dtype: Any, photometric: int, mode: str
) -> None:
    values = np.asarray(photo.convert(mode)).astype(dtype)
    data = make_planes(values * 257 if dtype == np.uint16 else values, photometric, order)
    assert decode_bytes(data).rgb.tobytes() == photo.convert(mode).convert("RGB").tobytes()
    with Image.open(io.BytesIO(data)) as opened:
        assert read_image(make_source(opened)).rgb.tobytes() == photo.convert(mode).convert("RGB").tobytes()
    with pytest.raises(CorruptImage):
        decode_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 0.25, 1]], np.float32),
        np.array([[0, 64 * 257, 32767]], np.int16),
        np.array([[0, 64 * 257, 65535]], np.int32),
        np.array([[0, 64 * 257, 65535]], np.uint16),
    ],
    ids=["float32", "int16", "int32", "uint16"],
)
def test_compressed_values_are_read_in_both_byte_orders(values: Any, order: Order) -> None:
    data = zlib.compress(values.astype(values.dtype.newbyteorder(order)).tobytes())
    plain = Page(values=values)
    page = Page(
        values=np.frombuffer(data, np.uint8)[None],
        tags={
            256: (4, (values.shape[1],)),
            258: (3, (values.dtype.itemsize * 8,)),
            259: (3, (8,)),
            339: (3, ({"u": 1, "i": 2, "f": 3}[values.dtype.kind],)),
        },
    )
    assert grey(make_tiff(page, order=order)) == grey(make_tiff(plain))


def test_ordinary_values_are_read_without_a_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode_bytes(make_tiff(Page(values=np.array([[0, 65535]], np.uint16))))
        decode_bytes(make_tiff(Page(values=np.array([[0.2, 0.7]], np.float32))))
        decode_bytes(make_tiff(Page(values=np.zeros((2, 2), np.uint16))))
    assert caught == []
