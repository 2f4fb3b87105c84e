"""What ``crop`` lets a model see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pictag.preprocess.crop import crop_image
from pictag.preprocess.run import preprocess
from pictag.preprocess.spec import PreprocessSpec, plain_spec

CENTRE_CROP = plain_spec(size=(32, 32), mean=[0.5], std=[0.5], crop=0.875)
SQUEEZE = plain_spec(size=(32, 32), mean=[0.5], std=[0.5])


def mark_edges(width: int, height: int) -> Image.Image:
    """A black image with a thick white frame."""
    image = Image.new("RGB", (width, height), "white")
    frame = max(2, min(width, height) // 4)
    image.paste("black", (frame, frame, width - frame, height - frame))
    return image


@pytest.mark.parametrize("spec", [CENTRE_CROP, SQUEEZE], ids=["centre crop", "squeeze"])
@given(width=st.integers(20, 300), height=st.integers(20, 300))
def test_the_whole_image_keeps_its_edges_and_its_shape(spec: PreprocessSpec, width: int, height: int) -> None:
    (square,) = crop_image(mark_edges(width, height), spec, "whole")
    assert square.width == square.height >= max(width, height)
    seen = preprocess(square, spec)[0]
    assert seen.shape == (32, 32)
    # The frame's four sides are brighter than the neutral grey around it (0) and the black inside (-1).
    rows, columns = seen.max(axis=1), seen.max(axis=0)
    bright_rows, bright_columns = np.flatnonzero(rows > 0.3), np.flatnonzero(columns > 0.3)
    shown = (bright_rows[-1] - bright_rows[0] + 1) / (bright_columns[-1] - bright_columns[0] + 1)
    assert shown == pytest.approx(height / width, rel=0.35, abs=3 / 32)


def test_the_padding_is_the_models_mean() -> None:
    spec = plain_spec(size=(32, 32), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    (square,) = crop_image(Image.new("RGB", (200, 50), "white"), spec, "whole")
    assert np.abs(preprocess(square, spec)[:, 0, 0]).max() < 0.02


@pytest.mark.parametrize(
    ("size", "starts"), [((300, 100), [(0, 0), (100, 0), (200, 0)]), ((60, 80), [(0, 0), (0, 10), (0, 20)])]
)
def test_tiles_are_three_squares_along_the_longer_side(
    size: tuple[int, int], starts: list[tuple[int, int]]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    tiles = crop_image(Image.fromarray(pixels), CENTRE_CROP, "tiles")
    edge = min(size)
    for tile, (x, y) in zip(tiles, starts, strict=True):
        assert np.array_equal(np.asarray(tile), pixels[y : y + edge, x : x + edge])


def test_the_models_own_crop_is_the_image_itself() -> None:
    image = mark_edges(50, 40)
    assert crop_image(image, CENTRE_CROP, "model") == (image,)
