"""Folders of labelled images for the tiny model of colours: each image has random blocks of a main colour.

Tests write ``from blockimages import make_classes, make_block_image``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

MAIN = {"warm": 0, "fresh": 1, "cold": 2}
_SIDE = 12


def make_block_image(main: int, seed: int) -> Image.Image:
    """An image of 96×96 pixels, made of random blocks in which one channel is mostly brighter."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 200, (_SIDE, _SIDE, 3))
    blocks += (generator.random(3) * 60).astype(np.int64)  # a tint of its own
    blocks[..., main] += 70
    return Image.fromarray(blocks.clip(0, 255).astype(np.uint8)).resize((96, 96), Image.Resampling.NEAREST)


def make_classes(
    folder: Path, count: int = 8, *, names: tuple[str, ...] = ("warm", "cold"), first: int = 0
) -> Path:
    """One folder for each name with ``count`` different images, and return the folder of folders."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            make_block_image(MAIN[name], 1000 * MAIN[name] + number).save(folder / name / f"{number}.png")
    return folder
