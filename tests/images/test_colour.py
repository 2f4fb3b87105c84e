"""Every mode becomes the same RGB as in the reference implementation; deep grey is scaled."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from images.tiffs import Page, make_tiff
from pictag.errors import CorruptImage, PictagWarning
from pictag.images import ImageLimits, make_source, read_image
from pictag.images.colour import scale_grey

Encode = Callable[..., bytes]
WHITE = ImageLimits(alpha="white")

FILES = [
    ("1", "PNG", {}),
    ("L", "PNG", {}),
    ("LA", "PNG", {}),
    ("P", "PNG", {}),
    ("P", "PNG", {"transparency": 3}),
    ("P", "PNG", {"transparency": bytes(range(255, 0, -1))}),
    ("L", "PNG", {"transparency": 17}),
    ("RGB", "PNG", {"transparency": (3, 4, 5)}),
    ("RGB", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("L", "JPEG", {}),
    ("RGB", "JPEG", {"quality": 90}),
    ("RGB", "JPEG", {"progressive": True, "subsampling": 2}),
    ("CMYK", "JPEG", {}),
    ("RGB", "MPO", {}),
    ("RGB", "WEBP", {}),
    ("RGBA", "WEBP", {"lossless": True}),
    ("P", "GIF", {}),
    ("P", "GIF", {"transparency": 5}),
    ("L", "GIF", {}),
    ("1", "BMP", {}),
    ("P", "BMP", {}),
    ("L", "BMP", {}),
    ("RGB", "BMP", {}),
    ("RGBA", "BMP", {}),
    ("1", "TIFF", {"compression": "group4"}),
    ("L", "TIFF", {}),
    ("LA", "TIFF", {"compression": "tiff_lzw"}),
    ("P", "TIFF", {}),
    ("RGB", "TIFF", {"compression": "jpeg"}),
    ("RGB", "TIFF", {"compression": "tiff_deflate"}),
    ("RGBA", "TIFF", {"compression": "packbits"}),
    ("CMYK", "TIFF", {}),
    ("YCbCr", "TIFF", {}),
    ("LAB", "TIFF", {}),
    ("RGB", "AVIF", {}),
    ("RGBA", "AVIF", {}),
]
MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "RGBX", "RGBa"]


def reference(image: Image.Image) -> Image.Image:
    """What transformers' ``load_image`` does once a file is open."""
    return ImageOps.exif_transpose(image).convert("RGB")


def in_mode(photo: Image.Image, mode: str) -> Image.Image:
    if mode in ("LA", "RGBA", "PA", "RGBa"):
        photo = photo.convert("RGBA")
        photo.putalpha(Image.linear_gradient("L").resize(photo.size))
        if mode == "PA":
            palette = photo.convert("P")
            palette.putalpha(photo.getchannel("A"))
            return palette
    if mode == "LAB":
        return Image.frombytes("LAB", photo.size, photo.tobytes())
    return photo.convert(mode)


def read(value: object, limits: ImageLimits = ImageLimits()) -> Image.Image:  # noqa: B008 - it is frozen
    return read_image(make_source(value), limits=limits).rgb


@pytest.mark.parametrize(("mode", "form", "options"), FILES)
def test_a_file_of_any_mode_equals_the_reference(
    photo: Image.Image, encode: Encode, mode: str, form: str, options: dict[str, object]
) -> None:
    data = encode(in_mode(photo, mode), form, **options)
    with Image.open(io.BytesIO(data)) as opened:
        expected = reference(opened)
    ours = read(data)
    assert ours.mode == "RGB"
    assert ours.size == expected.size
    assert ours.tobytes() == expected.tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_a_pil_image_of_any_mode_equals_the_reference(photo: Image.Image, mode: str) -> None:
    image = in_mode(photo, mode)
    before = image.tobytes(), image.mode, dict(image.info)
    assert read(image).tobytes() == reference(image).tobytes()
    assert (image.tobytes(), image.mode, image.info) == before, "the caller's image must not change"


def test_premultiplied_grey_is_supported(photo: Image.Image) -> None:
    assert read(in_mode(photo, "LA").convert("La")).size == photo.size


def test_the_result_is_a_copy(photo: Image.Image) -> None:
    ours = read(photo)
    ours.putpixel((0, 0), (1, 2, 3))
    assert photo.getpixel((0, 0)) != (1, 2, 3)


@pytest.mark.parametrize("orientation", range(1, 10))  # 9 is invalid and ignored
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_once(photo: Image.Image, encode: Encode, orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo, form, exif=exif)
    with Image.open(io.BytesIO(data)) as opened:
        expected = reference(opened)
    image = read_image(make_source(data))
    assert image.rgb.tobytes() == expected.tobytes()
    assert (
        image.original_size
        == expected.size
        == (photo.size[::-1] if orientation in (5, 6, 7, 8) else photo.size)
    )
    assert ImageOps.exif_transpose(image.rgb).size == image.rgb.size, (
        "the orientation must not be applied twice"
    )


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 90]
)
def test_broken_exif_is_ignored(photo: Image.Image, encode: Encode, exif: bytes) -> None:
    plain = encode(photo, "JPEG")
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    assert read(plain[:2] + segment + plain[2:]).tobytes() == read(plain).tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_transparent_pixels_are_white_with_alpha_white(mode: str) -> None:
    clear = Image.new("RGBA", (4, 3), (10, 20, 30, 0))
    image = clear.convert("LA").convert("La") if mode == "La" else clear.convert(mode)
    if mode == "PA":
        image = Image.new("P", (4, 3), 1)
        image.putalpha(0)
        assert image.mode == "PA"
    assert read(image, WHITE).getpixel((0, 0)) == (255, 255, 255)


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    image = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert read(image, WHITE).getpixel((0, 0)) == (127, 127, 127)


def test_a_transparent_palette_entry_is_white_with_alpha_white(encode: Encode) -> None:
    image = Image.new("P", (4, 3), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    data = encode(image, "PNG", transparency=1)
    assert read(data).getpixel((0, 0)) == (0, 255, 0)
    assert read(data, WHITE).getpixel((0, 0)) == (255, 255, 255)


def test_a_transparent_16_bit_grey_is_white_with_alpha_white(encode: Encode) -> None:
    values = np.array([[1000, 30000]], dtype=np.uint16)
    data = encode(Image.fromarray(values), "PNG", transparency=1000)
    assert read(data, WHITE).getpixel((0, 0)) == (255, 255, 255)
    assert read(data, WHITE).getpixel((1, 0)) == read(data).getpixel((1, 0)) == (117, 117, 117)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(encode: Encode, form: str) -> None:
    values = np.array([[0, 128, 257, 32768, 65534, 65535]], dtype=np.uint16)
    assert np.asarray(read(encode(Image.fromarray(values), form)))[0, :, 0].tolist() == [
        0,
        0,
        1,
        128,
        255,
        255,
    ]


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_16_bit_grey_of_either_byte_order_is_scaled(mode: str) -> None:
    image = Image.new(mode, (2, 2), 65535)
    assert read(image).getpixel((1, 1)) == (255, 255, 255)


def test_the_orientation_of_16_bit_grey_is_applied(encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.array([[0, 65535]], dtype=np.uint16)
    ours = read(encode(Image.fromarray(values), "PNG", exif=exif))
    assert ours.size == (1, 2)
    assert ours.getpixel((0, 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 7, 255], [0, 7, 255]),
        ([0, 257, 65535], [0, 1, 255]),
        ([-10, 0, 10], [0, 128, 255]),
        ([0, 50_000, 100_000], [0, 128, 255]),
        ([70_000, 70_000, 70_000], [0, 0, 0]),
    ],
)
def test_32_bit_grey_is_scaled_by_its_largest_value(values: list[int], expected: list[int]) -> None:
    stretched = min(values) < 0 or max(values) > 65535
    with pytest.warns(PictagWarning, match="stretched") if stretched else nullcontext():
        assert scale_grey(np.array(values, dtype=np.int32)).tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 0.5, 1.0001], [0, 128, 255]),
        ([0.0, 0.5, 1.05], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 0.6, 1.2], [0, 128, 255]),
        ([10.5, 110.5, 210.5], [0, 128, 255]),
        ([0.0, 1e30, 2e30], [0, 128, 255]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
    ],
)
@pytest.mark.parametrize("form", [None, "TIFF"])
def test_float_grey_is_scaled_by_its_range(
    encode: Encode, values: list[float], expected: list[int], form: str | None
) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert image.mode == "F"
    stretched = min(values) < 0 or (max(values) > 1.05 and values != [0, 100, 255])
    with pytest.warns(PictagWarning, match="stretched") if stretched else nullcontext():
        found = read(image if form is None else encode(image, form))
    assert np.asarray(found)[0, :, 0].tolist() == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_corrupt(bad: float) -> None:
    with pytest.raises(CorruptImage, match="not finite"):
        read(Image.fromarray(np.array([[0, bad]], dtype=np.float32)))


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_scaling_16_bits_is_division_by_257_and_keeps_order(a: int, b: int) -> None:
    # The third value is bright, so that there is no warning.
    low, high, _ = (int(v) for v in scale_grey(np.array([min(a, b), max(a, b), 65535], dtype=np.uint16)))
    assert low <= high
    assert abs(low - min(a, b) / 257) <= 0.5


@pytest.mark.parametrize("channels", [3, 4])
def test_deep_colour_of_12_bits_is_read_with_a_warning(channels: int) -> None:
    """As satellites and microscopes write it: Pillow keeps the upper 8 of 16 bits."""
    values = np.full((2, 2, channels), 4000, np.uint16)
    data = make_tiff(Page(values=values, photometric=2, tags={} if channels == 3 else {338: (3, (0,))}))
    with pytest.warns(PictagWarning, match="nearly black"):
        assert read(data).getpixel((0, 0)) == (15, 15, 15)
    assert read(make_tiff(Page(values=values * 16, photometric=2))).getpixel((0, 0)) == (250, 250, 250)


@pytest.mark.shared
def test_12_bit_samples_are_scaled(shared: Path) -> None:
    # The same dark image, its largest value 30: of 4095 in the one file, of 65535 in the other.
    with pytest.warns(PictagWarning, match="nearly black"):
        twelve = read(shared / "images/malformed/12bit.cropped.tif")
    with pytest.warns(PictagWarning, match="nearly black"):
        sixteen = read(shared / "images/malformed/12in16bit.tif")
    assert np.asarray(twelve).max() == 2
    assert np.asarray(sixteen).max() == 0


@pytest.mark.shared
@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_a_photo_stored_in_every_orientation_is_the_same_image(shared: Path, shape: str) -> None:
    images = [read(shared / f"images/exif-orientation/{shape}_{n}.jpg") for n in range(9)]
    assert len({image.size for image in images}) == 1
    first = np.asarray(images[0].resize((90, 90))).astype(int)
    for image in images[1:]:
        # Each was compressed separately and shows its own number.
        assert np.abs(np.asarray(image.resize((90, 90))).astype(int) - first).mean() < 6


def test_the_transparent_colour_is_kept_and_the_orientation_removed(encode: Encode) -> None:
    image = Image.new("P", (4, 3), 2)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(image, "PNG", transparency=2, exif=exif)
    image = read_image(make_source(data)).rgb
    assert image.info == {"transparency": (0, 255, 0)}
    assert image.size == (3, 4)
