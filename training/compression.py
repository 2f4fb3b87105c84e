"""JPEG compression of a small image, as a few nodes of an ONNX graph.

The images of Tiny ImageNet are JPEGs of quality 75 at 64×64 pixels, with colour at half the resolution. A
photograph that is scaled down to 64×64 is cleaner than these images, and the network recognises it less well.
The graph therefore first compresses and restores every image in the same way. An image that has already been
compressed so hardly changes.

The steps are those of the standard (ITU-T T.81, and T.871 for the colours): conversion to YCbCr, averaging
the colours over 2×2 pixels, the discrete cosine transform of 8×8 blocks, and rounding by the tables of Annex
K scaled to the quality; then the inverse, with the colours enlarged linearly.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
QUALITY = 75
BLOCK = 8

# Annex K of T.81, row by row.
_LUMINANCE = """
16 11 10 16 24 40 51 61    12 12 14 19 26 58 60 55    14 13 16 24 40 57 69 56    14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92  49 64 78 87 103 121 120 101
72 92 95 98 112 100 103 99
"""
_COLOUR = """
17 18 24 47 99 99 99 99      18 21 26 66 99 99 99 99      24 26 56 99 99 99 99 99      47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99      99 99 99 99 99 99 99 99
"""
_TO_YCBCR = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
_TO_RGB = [[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]]


class GraphBuilder(Protocol):
    """The methods needed of a graph that is being built."""

    def add(self, kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a constant and return its name."""


def quantization_steps(table: str, quality: int = QUALITY) -> Floats:
    """The 64 steps by which coefficients are rounded, scaled to a quality of 50…100 as libjpeg does."""
    base = np.array(table.split(), dtype=np.int64)
    return np.clip((base * (200 - 2 * quality) + 50) // 100, 1, 255).astype(np.float32)


def cosine_blocks() -> Floats:
    """The 64 basis images of the transform, [64, 1, 8, 8]; orthonormal."""
    rows = np.arange(BLOCK)
    basis = np.cos((2 * rows[None, :] + 1) * rows[:, None] * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return np.einsum("ux,vy->uvxy", basis, basis).reshape(64, 1, BLOCK, BLOCK).astype(np.float32)


def add_compression(graph: GraphBuilder, x: str, *, mean: float, std: float) -> str:
    """Add nodes that compress the normalised image ``x`` [batch, 3, side, side] and restore it.

    The side must be a multiple of 16. Returns the name of the restored image, normalised again.
    """
    image = graph.add("Mul", x, graph.constant("jpeg_std", _scalar(std * 255)), name="jpeg_scaled")
    image = graph.add("Add", image, graph.constant("jpeg_mean", _scalar(mean * 255)), name="jpeg_image")
    matrix = np.array(_TO_YCBCR, np.float32)[:, :, None, None]
    # Luminance is centred; the colours already are.
    luminance = graph.add(
        "Conv",
        image,
        graph.constant("jpeg_to_y", matrix[:1]),
        graph.constant("jpeg_shift", np.array([-128], np.float32)),
        name="jpeg_luminance",
    )
    luminance = _round_blocks(graph, luminance, 1, quantization_steps(_LUMINANCE), "jpeg_y")
    colour = graph.add("Conv", image, graph.constant("jpeg_to_cbcr", matrix[1:]), name="jpeg_colour")
    colour = graph.add("AveragePool", colour, name="jpeg_small", kernel_shape=[2, 2], strides=[2, 2])
    colour = _round_blocks(graph, colour, 2, quantization_steps(_COLOUR), "jpeg_c")
    scales = graph.constant("jpeg_scales", np.array([1, 1, 2, 2], np.float32))
    colour = graph.add("Resize", colour, "", scales, name="jpeg_large", mode="linear")
    planes = graph.add("Concat", luminance, colour, name="jpeg_restored", axis=1)
    image = graph.add(
        "Conv",
        planes,
        graph.constant("jpeg_to_rgb", np.array(_TO_RGB, np.float32)[:, :, None, None]),
        graph.constant("jpeg_unshift", np.full(3, 128, np.float32)),
        name="jpeg_rgb",
    )
    image = graph.add("Round", image, name="jpeg_whole")
    low, high = graph.constant("jpeg_low", _scalar(0)), graph.constant("jpeg_high", _scalar(255))
    image = graph.add("Clip", image, low, high, name="jpeg_clipped")
    image = graph.add("Sub", image, "jpeg_mean", name="jpeg_centred")
    return graph.add("Div", image, "jpeg_std", name="jpeg_normalised")


def _round_blocks(graph: GraphBuilder, planes: str, count: int, steps: Floats, name: str) -> str:
    """Transform the 8×8 blocks of each of ``count`` planes, round them by ``steps``, and transform back."""
    basis = graph.constant(f"{name}_basis", np.tile(cosine_blocks(), (count, 1, 1, 1)))
    step = graph.constant(f"{name}_steps", np.tile(steps, count).reshape(1, -1, 1, 1))
    layout = {"strides": [BLOCK, BLOCK], "group": count}
    found = graph.add("Conv", planes, basis, name=f"{name}_coefficients", **layout)
    found = graph.add("Round", graph.add("Div", found, step, name=f"{name}_shares"), name=f"{name}_rounded")
    found = graph.add("Mul", found, step, name=f"{name}_kept")
    return graph.add("ConvTranspose", found, basis, name=f"{name}_restored", **layout)


def _scalar(value: float) -> Floats:
    return np.array(value, dtype=np.float32)
