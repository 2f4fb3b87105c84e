"""Heatmaps: what is coloured, hatched and written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pictag.explanation import ScoreMap, draw_heat, draw_heatmap
from pictag.explanation.colours import colour
from pictag.records import Label

GREY = (128, 128, 128)


def make_map(
    values: NDArray[np.float32], label: str = "tabby, tabby cat", size: tuple[int, int] | None = None
) -> ScoreMap:
    """A map over a grey image, one value for each pixel."""
    return ScoreMap(
        label=Label(label=label, score=0.586, index=281),
        values=values.astype(np.float32),
        method="activation",
        image=Image.new("RGB", size or values.shape[::-1], GREY),
    )


def make_halves(left: float, right: float) -> NDArray[np.float32]:
    return np.repeat(np.array([[left] * 320 + [right] * 320], np.float32), 400, axis=0)


def at(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel


def test_areas_that_raised_the_score_are_yellow_and_those_that_lowered_it_blue() -> None:
    heat = draw_heat(make_map(make_halves(-1, 1)))
    red, green, blue = at(heat, 630, 200)
    assert red > 200
    assert green > 180
    assert blue < 120
    red, green, blue = at(heat, 10, 200)
    assert blue > red + 50


def test_what_all_places_have_in_common_is_not_coloured() -> None:
    for values in (make_halves(5, 9), make_halves(-9, -5), make_halves(3, 3)):
        heat = draw_heat(make_map(values))
        quiet = at(heat, 10 if values[0, 0] in (5, 3) else 630, 200)
        assert max(quiet) - min(quiet) < 8


def test_what_the_model_did_not_see_is_dark_and_hatched() -> None:
    values = make_halves(1, 2)
    values[:, :320] = np.nan
    heat = np.asarray(draw_heat(make_map(values)).convert("L"))
    assert heat[:, :310].max() < 100
    assert len(np.unique(heat[:, :310])) > 1
    assert heat[:, 330:].min() > 100


@settings(max_examples=30)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_a_heatmap_has_the_shape_of_its_image_and_a_readable_size(width: int, height: int) -> None:
    image = draw_heat(make_map(np.ones((3, 4), np.float32), size=(width, height)), (64, 160))
    assert 64 <= max(image.size) <= 160
    longest = max(width, height)
    assert min(image.size) == pytest.approx(max(1, min(width, height) * max(image.size) / longest), abs=1)


@pytest.mark.parametrize("label", ["a", "long " * 100, "猫", "\x1b[31m\n\u202e", ""])
@pytest.mark.parametrize("size", [(640, 480), (200, 640), (1600, 100)])
def test_the_legend_fits_below_the_image(label: str, size: tuple[int, int]) -> None:
    values = np.ones((8, 8), np.float32)
    values[:4] = -1
    values[0] = np.nan
    found = make_map(values, label, size=size)
    heat, image = draw_heat(found), draw_heatmap(found, model="org/" + "long-name" * 30)
    assert image.width >= heat.width
    assert image.height > heat.height
    legend = np.asarray(image.convert("L"))[heat.height :]
    assert legend.min() < 60  # there is text
    edge = max(4, image.width // 120)
    assert legend[:, -edge:].min() == legend[:, :edge].min() == legend[-edge:].min() == 255


def test_the_colours_grow_lighter_in_even_steps() -> None:
    for sign in (-1, 1):
        levels = colour(np.linspace(0, sign, 9, dtype=np.float32)).astype(float) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        lightness = 116 * np.cbrt(luminance) - 16  # CIE L*
        steps = np.diff(lightness)
        assert steps.min() > 0
        assert steps.max() < 1.6 * steps.min()
