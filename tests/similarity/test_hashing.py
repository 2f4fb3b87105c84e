"""Checksums of pixels and difference hashes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from pictag.similarity import MAX_DIFFERENT_BITS, count_different_bits, describe


@pytest.fixture(scope="session")
def photograph(shared: Path) -> Image.Image:
    with Image.open(shared / "images" / "imagenet" / "0011_n01531178_goldfinch.jpg") as opened:
        return opened.convert("RGB")


def compress(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as opened:
        return opened.convert("RGB")


def make_noise(seed: int, size: tuple[int, int] = (90, 80)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.NEAREST)


def test_equal_pixels_have_equal_checksums_in_every_file_format(tmp_path: Path) -> None:
    image = make_noise(1, (300, 1000))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.bmp")
    with Image.open(tmp_path / "a.png") as png, Image.open(tmp_path / "a.bmp") as bmp:
        assert describe(png) == describe(bmp) == describe(image)


def test_one_different_pixel_changes_the_checksum() -> None:
    image = make_noise(1, (300, 1000))
    other = image.copy()
    other.putpixel((299, 999), (1, 2, 3))
    assert describe(image).pixels != describe(other).pixels


def test_the_same_bytes_in_another_shape_have_another_checksum() -> None:
    assert describe(Image.new("RGB", (4, 9))).pixels != describe(Image.new("RGB", (9, 4))).pixels


@pytest.mark.shared
@pytest.mark.parametrize("change", ["quality 40", "half", "sixth", "grey", "brighter"])
def test_a_changed_photograph_keeps_its_hash(photograph: Image.Image, change: str) -> None:
    width, height = photograph.size
    changed = {
        "quality 40": compress(photograph, 40),
        "half": photograph.resize((width // 2, height // 2)),
        "sixth": photograph.resize((width // 6, height // 6)),
        "grey": photograph.convert("L"),
        "brighter": ImageEnhance.Brightness(photograph).enhance(1.3),
    }[change]
    original, other = describe(photograph).hash, describe(changed).hash
    assert original is not None
    assert other is not None
    assert count_different_bits(original, other) <= MAX_DIFFERENT_BITS


@pytest.mark.shared
def test_the_mirrored_hash_is_that_of_the_mirror_image(photograph: Image.Image) -> None:
    original, mirrored = describe(photograph), describe(ImageOps.mirror(photograph))
    assert original.mirrored_hash is not None
    assert mirrored.hash is not None
    assert count_different_bits(original.mirrored_hash, mirrored.hash) <= 2
    assert count_different_bits(original.hash or 0, mirrored.hash) > MAX_DIFFERENT_BITS


@pytest.mark.shared
def test_different_photographs_have_different_hashes(shared: Path) -> None:
    hashes = []
    for path in sorted((shared / "images" / "imagenet").glob("*.jpg"))[::4]:
        with Image.open(path) as opened:
            hashes.append(describe(opened).hash)
    known = [value for value in hashes if value is not None]
    assert len(known) >= 0.9 * len(hashes)
    assert min(count_different_bits(a, b) for a in known for b in known if a != b) > MAX_DIFFERENT_BITS


def draw_circle() -> Image.Image:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).ellipse((150, 100, 250, 200), fill="black")
    return image


def draw_gradient() -> Image.Image:
    columns = np.linspace(90, 200, 400).astype(np.uint8)
    return Image.fromarray(
        np.broadcast_to(columns[:, None], (400, 3)).astype(np.uint8)[None].repeat(300, axis=0)
    )


@pytest.mark.parametrize(
    "image",
    [Image.new("RGB", (500, 375), "white"), Image.new("RGB", (1, 1)), draw_gradient(), draw_circle()],
    ids=["blank page", "one pixel", "sky", "dot on a page"],
)
def test_an_image_with_little_structure_has_no_hash(image: Image.Image) -> None:
    found = describe(image)
    assert found.hash is None
    assert found.mirrored_hash is None


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (3, 3), (40_000, 9)])
def test_images_of_any_size_have_a_fingerprint(size: tuple[int, int]) -> None:
    assert len(describe(Image.new("RGB", size, "red")).pixels) == 32
