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


@pytest.mark.parametrize("spec", [CENTRE_CROP, SQUEEZE], ids=["centre crop", "squeeze"])
@given(width=st.integers(20, 300), height=st.integers(20, 300))
def test_the_model_sees_the_whole_image_in_its_shape(spec: PreprocessSpec, width: int, height: int) -> None:
    (square,) = crop_image(Image.new("RGB", (width, height), "white"), spec, "whole")
    assert square.width == square.height >= max(width, height)
    seen = preprocess(square, spec)[0]  # white is 1, the padding about 0
    by_row, by_column = seen.sum(axis=1), seen.sum(axis=0)
    shown_height = np.count_nonzero(by_row > by_row.max() / 2)
    shown_width = np.count_nonzero(by_column > by_column.max() / 2)
    longest = max(width, height)
    assert shown_height == pytest.approx(32 * height / longest, abs=2)
    assert shown_width == pytest.approx(32 * width / longest, abs=2)


@pytest.mark.parametrize("spec", [CENTRE_CROP, SQUEEZE], ids=["centre crop", "squeeze"])
@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000), (30_000, 3_000)])
def test_a_long_image_does_not_fill_memory_with_padding(spec: PreprocessSpec, size: tuple[int, int]) -> None:
    (square,) = crop_image(Image.new("RGB", size, "white"), spec, "whole")
    assert square.width == square.height <= 8192
    box = square.convert("L").point(lambda level: 255 * (level > 200)).getbbox()
    assert box is not None
    width, height = box[2] - box[0], box[3] - box[1]
    longest = max(width, height)
    assert longest >= 7_000
    assert (width, height) == tuple(max(1, round(side * longest / 30_000)) for side in size)


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
    image = Image.new("RGB", (50, 40), "white")
    assert crop_image(image, CENTRE_CROP, "model") == (image,)
