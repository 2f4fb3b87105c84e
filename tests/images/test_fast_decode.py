"""With a needed size, large JPEGs are scaled down while they are decoded, but never too far."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pictag.images import make_source, read_image


def photograph(size: tuple[int, int], *, form: str = "JPEG", orientation: int = 1) -> bytes:
    """A smooth image that is dark at the top."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, form, exif=exif)
    return stream.getvalue()


@given(st.integers(8, 500), st.integers(8, 500), st.integers(1, 60), st.integers(1, 60))
def test_the_image_is_at_least_twice_the_needed_size(
    width: int, height: int, needed_w: int, needed_h: int
) -> None:
    data = photograph((width, height))
    image = read_image(make_source(data), needed=lambda size: (needed_w, needed_h))
    assert image.rgb.width >= min(width, 2 * needed_w)
    assert image.rgb.height >= min(height, 2 * needed_h)
    assert image.original_size == (width, height)


@pytest.mark.parametrize(
    ("needed", "size"),
    [((100, 75), (200, 150)), ((101, 75), (400, 300)), ((800, 600), (1600, 1200)), ((10, 10), (200, 150))],
)
def test_the_decoder_halves_as_often_as_possible(needed: tuple[int, int], size: tuple[int, int]) -> None:
    data = photograph((1600, 1200))
    assert read_image(make_source(data), needed=lambda _: needed).rgb.size == size


def test_the_needed_size_is_asked_for_the_upright_image() -> None:
    asked = []

    def need(size: tuple[int, int]) -> tuple[int, int]:
        asked.append(size)
        return 75, 400

    image = read_image(make_source(photograph((1600, 1200), orientation=6)), needed=need)
    assert asked == [(1200, 1600)]
    assert image.rgb.size == (600, 800)
    assert image.original_size == (1200, 1600)


def test_other_formats_are_decoded_in_full() -> None:
    assert read_image(make_source(photograph((400, 300))), needed=lambda _: None).rgb.size == (400, 300)
    data = photograph((400, 300), form="PNG")
    assert read_image(make_source(data), needed=lambda _: (10, 10)).rgb.size == (400, 300)


def test_a_pil_image_is_not_scaled_down() -> None:
    with Image.open(io.BytesIO(photograph((400, 300)))) as image:
        decoded = read_image(make_source(image), needed=lambda _: (10, 10))
        assert decoded.rgb.size == image.size == (400, 300)


def test_scaling_while_decoding_gives_nearly_the_same_pixels() -> None:
    data = photograph((1600, 1200))
    full = read_image(make_source(data)).rgb.resize((100, 75))
    fast = read_image(make_source(data), needed=lambda _: (100, 75)).rgb.resize((100, 75))
    assert np.abs(np.asarray(full, np.int16) - np.asarray(fast, np.int16)).max() <= 3
