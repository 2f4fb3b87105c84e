"""The way back from the model's input to the image's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictag.options import Crop
from pictag.preprocess.crop import crop_image, find_views
from pictag.preprocess.run import preprocess
from pictag.preprocess.spec import PreprocessSpec, Step, plain_spec
from pictag.preprocess.steps import (
    CenterCrop,
    CropFraction,
    Pad,
    PadToSquare,
    Rescale,
    Resize,
    ResizeLongest,
    ResizeShortest,
)

RESCALE = Rescale(factor=1 / 255)


def spec(*steps: Step) -> PreprocessSpec:
    pads = tuple(step for step in steps if isinstance(step, Pad))
    before = tuple(step for step in steps if not isinstance(step, Pad))
    return PreprocessSpec(processor="test", steps=(*before, RESCALE, *pads))


SPECS = {
    "squeeze": plain_spec(size=(32, 48), mean=[0.0], std=[1.0]),
    "centre crop": plain_spec(size=(64, 64), mean=[0.0], std=[1.0], crop=0.875),
    "crop first": spec(CropFraction(height=0.8, width=0.6), Resize(height=40, width=40, resample="bilinear")),
    "pad to a square": spec(PadToSquare(fill=(0, 0, 0)), Resize(height=48, width=48, resample="bilinear")),
    "crop beyond the edge": spec(
        ResizeLongest(edge=40, resample="bilinear"), CenterCrop(height=50, width=60)
    ),
    "pad at the end": spec(
        ResizeShortest(edge=40, longest=60, resample="bilinear"), Pad(height=64, width=64)
    ),
}


def draw_coordinates(width: int, height: int) -> Image.Image:
    """Each pixel's red is its x, its green its y, as shares of 255; its blue is 255."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[..., 0] = ((np.arange(width) + 0.5) / width * 255).round()
    pixels[..., 1] = ((np.arange(height) + 0.5) / height * 255).round()[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("crop", ["model", "whole", "tiles"])
@pytest.mark.parametrize("name", list(SPECS))
@settings(max_examples=20)
@given(width=st.integers(80, 150), height=st.integers(80, 150))
def test_each_pixel_of_the_input_is_traced_to_its_place_in_the_image(
    name: str, crop: Crop, width: int, height: int
) -> None:
    image = draw_coordinates(width, height)
    views = find_views((height, width), SPECS[name], crop)
    parts = crop_image(image, SPECS[name], crop)
    for view, part in zip(views, parts, strict=True):
        x, y, blue = preprocess(part, SPECS[name])
        rows, columns = blue.shape
        # Where the image is, away from the padding, with which the filter mixes it.
        right_of = np.flatnonzero(blue[blue.sum(axis=1).argmax()] > 0.99)[3:-3]
        below = np.flatnonzero(blue[:, blue.sum(axis=0).argmax()] > 0.99)[3:-3]
        expected_x = (view.left + (right_of + 0.5) / columns * (view.right - view.left)) / width
        expected_y = (view.top + (below + 0.5) / rows * (view.bottom - view.top)) / height
        pixel = 1 / min(rows, columns, width, height)
        assert len(below) >= 6
        assert np.abs(x[np.ix_(below, right_of)] - expected_x[None, :]).max() < pixel
        assert np.abs(y[np.ix_(below, right_of)] - expected_y[:, None]).max() < pixel
        assert 0 < expected_x.min() < expected_x.max() < 1
        assert 0 < expected_y.min() < expected_y.max() < 1


def test_padding_lies_outside_the_image() -> None:
    (view,) = find_views((100, 50), SPECS["centre crop"], "whole")
    assert view.left < 0
    assert view.right > 50
    assert view.top <= 0
    assert view.bottom >= 100
