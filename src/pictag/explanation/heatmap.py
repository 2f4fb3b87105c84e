"""Draws a score map over its image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pictag.errors import shorten
from pictag.explanation.colours import colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pictag.pipelines.score_map import ScoreMap

SENTENCE = "Areas that changed this model's score"
"""What a heatmap shows: it doesn't show where an object is."""
METHODS = {"activation": "class activation map", "occlusion": "occlusion"}

MAX_EDGE = 1600
"""Pixels of a heatmap's longer side, without the legend. Larger images are resized."""
_EDGES = (640, MAX_EDGE)
_GREY = 0.65  # share of the photograph's colour that is removed, so that it doesn't interfere with the map's
_LIGHT, _UNSEEN_LIGHT, _STRIPE_LIGHT = 0.8, 0.4, 24
_OPACITY = 0.85  # of the largest value
_SHEET, _INK, _SOFT_INK, _EDGE = "white", "#1d2023", "#5a5f65", "#84857e"
_STRIPE = 6  # pixels


def draw_heatmap(score_map: ScoreMap, *, model: str = "", percent: bool = True) -> Image.Image:
    """The heatmap with its legend: the label, its score, what the colours mean, and the ``model``'s name.

    ``percent`` is False for scores that aren't probabilities.
    """
    heat = draw_heat(score_map)
    unit = max(6, heat.width // 90)  # the legend's sizes follow from it
    font, title_font = ImageFont.load_default(2 * unit), ImageFont.load_default(3 * unit)
    width = max(heat.width, 80 * unit)
    image = Image.new("RGB", (width, heat.height + 19 * unit), _SHEET)
    image.paste(heat, ((width - heat.width) // 2, 0))
    draw = ImageDraw.Draw(image)
    margin, room = 2 * unit, width - 4 * unit
    y = heat.height + int(1.5 * unit)
    score = f"{score_map.label.score:.1%}" if percent else f"{score_map.label.score:.4g}"
    score_width = int(draw.textlength(score, title_font))
    label = _fit(draw, shorten(score_map.label.label), title_font, room - score_width - 2 * unit)
    draw.text((margin, y), label, _INK, title_font)
    draw.text((width - margin, y), score, _INK, title_font, anchor="ra")
    y += int(4.5 * unit)
    draw.text((margin, y), SENTENCE, _INK, font)
    y += 4 * unit
    values, seen = _scale(score_map)
    x = _draw_scale(image, draw, (margin, y), unit, font, has_lowered=bool((values < -0.05).any()))
    if not seen.all():
        swatch = Image.new("RGB", (4 * unit, 2 * unit), "#b9bab4")
        image.paste(_hatch(np.asarray(swatch)), (x, y))
        draw.text((x + 5 * unit, y + unit), "not seen by the model", _INK, font, anchor="lm")
    how = METHODS[score_map.method]
    about = f"Method: {how}. Model: {shorten(model, 120)}" if model else f"Method: {how}"
    draw.text((margin, y + 4 * unit), _fit(draw, about, font, room), _SOFT_INK, font)
    return image


def draw_heat(score_map: ScoreMap, edges: tuple[int, int] = _EDGES) -> Image.Image:
    """The photograph in muted colours under the map's colours; areas that the model didn't see are hatched.

    The longer side is between the two ``edges``.
    """
    longest = max(score_map.image.size)
    scale = min(max(longest, edges[0]), edges[1]) / longest
    size = tuple(max(1, round(side * scale)) for side in score_map.image.size)
    photo = score_map.image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    grey = ImageOps.grayscale(photo).convert("RGB")
    muted = np.asarray(Image.blend(photo, grey, _GREY), np.float32) * _LIGHT
    values, seen = _scale(score_map)
    heat = _resize(values, photo.size, Image.Resampling.BILINEAR)
    is_seen = _resize(seen.astype(np.float32), photo.size, Image.Resampling.NEAREST) > 0.5
    opacity = _OPACITY * np.abs(heat)[..., None]
    shown = muted * (1 - opacity) + colour(heat) * opacity
    hatched = np.asarray(_hatch(np.asarray(photo)))
    return Image.fromarray(np.where(is_seen[..., None], shown, hatched).round().astype(np.uint8))


def _scale(score_map: ScoreMap) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The values in -1…1, 0 where the model saw nothing; and where it saw something.

    Only differences between positions matter, so the part that all positions have in common is left out.
    """
    values, seen = score_map.values, np.isfinite(score_map.values)
    lowest, highest = float(values[seen].min()), float(values[seen].max())
    shared = max(lowest, 0.0) + min(highest, 0.0)
    largest = max(highest - shared, shared - lowest)
    scaled = (np.where(seen, values, shared) - shared) / (largest or 1)
    return scaled.astype(np.float32), seen


def _resize(
    values: NDArray[np.float32], size: tuple[int, int], resample: Image.Resampling
) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(values).resize(size, resample))


def _hatch(pixels: NDArray[np.uint8]) -> Image.Image:
    """Darkened, with diagonal stripes."""
    y, x = np.indices(pixels.shape[:2])
    is_stripe = ((x + y) // _STRIPE % 3 == 0)[..., None]
    dark = pixels.mean(axis=-1, keepdims=True) * _UNSEEN_LIGHT
    shown = np.where(is_stripe, dark + _STRIPE_LIGHT, dark)
    return Image.fromarray(np.broadcast_to(shown, pixels.shape).astype(np.uint8))


def _draw_scale(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    unit: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    *,
    has_lowered: bool,
) -> int:
    """The colours with their meaning; returns the x coordinate after them."""
    (x, y), height, cells = corner, 2 * unit, 12 * unit
    for text, sign in (("lowered it", -1), ("raised it", 1)) if has_lowered else (("raised it", 1),):
        values = np.linspace(0, sign, cells, dtype=np.float32)
        opacity = _OPACITY * np.abs(values)[:, None]
        row = (190 * _LIGHT * (1 - opacity) + colour(values) * opacity).round().astype(np.uint8)
        image.paste(Image.fromarray(np.broadcast_to(row, (height, cells, 3)).copy()), (x, y))
        draw.rectangle((x, y, x + cells, y + height), outline=_EDGE)
        draw.text((x + cells + unit, y + unit), text, _INK, font, anchor="lm")
        x += cells + 3 * unit + int(draw.textlength(text, font))
    return x + unit


def _fit(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> str:
    """The text, cut off with an ellipsis if it is wider."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}…", font) > width:
        text = text[:-1]
    return f"{text.rstrip(', ')}…"
