"""The colours of heatmaps, in steps that look equally large.

They are computed in OKLCh, whose distances follow those that people see (Ottosson 2020,
https://bottosson.github.io/posts/oklab/): lightness grows evenly from a dark purple to yellow for areas that
raised a score, and from a dark blue to light cyan for those that lowered it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Lightness, chroma and hue in degrees, at 0 and at 1.
_RAISED = ((0.34, 0.93), (0.13, 0.17), (315, 460))
_LOWERED = ((0.34, 0.88), (0.11, 0.09), (275, 210))
_TO_LMS = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def colour(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The colours [..., 3] of values in -1…1: sRGB of 8 bits.

    >>> colour(np.array([-1, 0, 1], np.float32)).tolist()
    [[141, 232, 248], [80, 26, 101], [255, 234, 76]]
    """
    table = np.concatenate([_make_table(_LOWERED)[:0:-1], _make_table(_RAISED)])
    places = np.rint((np.clip(values, -1, 1) + 1) * 255).astype(int)
    return np.asarray(table[places])


def _make_table(ends: tuple[tuple[float, float], ...]) -> NDArray[np.uint8]:
    """256 colours from the first to the second end."""
    lightness, chroma, hue = (np.linspace(start, end, 256) for start, end in ends)
    angle = np.radians(hue)
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T, 0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray((levels * 255).round(), np.uint8)
