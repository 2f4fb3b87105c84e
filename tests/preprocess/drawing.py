"""Images drawn by code, identical on every machine, for the golden values and the conformance tests.

They use integer arithmetic only, because random generators can change between versions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def draw(width: int, height: int, seed: int = 0) -> Image.Image:
    """An image with gradients, edges and noise."""
    x, y, c = np.meshgrid(
        np.arange(width, dtype=np.uint64),
        np.arange(height, dtype=np.uint64),
        np.arange(3, dtype=np.uint64),
        indexing="xy",
    )
    noise = (
        (x * np.uint64(73_856_093))
        ^ (y * np.uint64(19_349_663))
        ^ ((c + np.uint64(seed)) * np.uint64(83_492_791))
    )
    noise = (noise ^ (noise >> np.uint64(13))) * np.uint64(1_274_126_177) >> np.uint64(16)
    slope = (x * np.uint64(3) + y * np.uint64(2) + c * np.uint64(60)) % np.uint64(256)
    checks = ((x // np.uint64(7) + y // np.uint64(5) + c) % np.uint64(2)) * np.uint64(200)
    third = x * np.uint64(3) // np.uint64(max(width, 1))
    values = np.where(third == 0, slope, np.where(third == 1, checks, noise % np.uint64(256)))
    return Image.fromarray(values.astype(np.uint8))


def draw_images() -> dict[str, Image.Image]:
    """RGB images of usual and unusual shapes, by name."""
    keyed = draw(23, 31, seed=5)
    keyed.putpixel((3, 4), (1, 2, 3))
    keyed.paste((1, 2, 3), (5, 5, 15, 20))
    keyed.info["transparency"] = (1, 2, 3)
    return {
        "landscape": draw(131, 97),
        "portrait": draw(60, 143, seed=1),
        "square": draw(64, 64, seed=2),
        "dot": draw(1, 1, seed=3),
        "strip": draw(3, 500, seed=4),
        "beam": draw(211, 2, seed=6),
        "keyed": keyed,
    }


def write_images(folder: Path) -> dict[str, Path]:
    """Files of many formats and modes, by name. Not 16-bit, where pictag differs on purpose."""
    rgb = draw(61, 43)
    alpha = draw(61, 43, seed=9).convert("L")
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    grey_alpha = Image.merge("LA", (rgb.convert("L"), alpha))
    palette = rgb.quantize(32)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    keyed = draw_images()["keyed"]
    paths: dict[str, Path] = {}

    def save(image: Image.Image, name: str, **options: object) -> None:
        paths[name] = folder / name
        image.save(paths[name], **options)  # type: ignore[arg-type]  # each format has its own options

    save(draw(1, 1, seed=3), "dot.png")
    save(draw(3, 500, seed=4), "strip.png")
    save(draw(200, 3, seed=6), "beam.bmp")
    save(draw(45, 120, seed=1), "portrait.jpg", quality=90)
    save(draw(320, 240, seed=7), "large.webp", lossless=True)
    save(rgb.convert("L"), "grey.png")
    save(rgb.convert("1"), "bilevel.png")
    save(palette, "palette.png")
    save(palette, "palette_transparent.png", transparency=3)
    save(palette, "transparent.gif", transparency=3)
    save(keyed, "keyed.png", transparency=(1, 2, 3))
    save(grey_alpha, "grey_alpha.png")
    save(rgba, "rgba.png")
    save(rgb.convert("CMYK"), "cmyk.jpg", quality=90)
    save(rgb, "rotated.jpg", quality=90, exif=rotated)
    return paths


def sample(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> dict[str, Any]:
    """The summary of a result: its shape, its mean, and eight values spread over it."""
    flat = values.reshape(-1)
    places = [(n * 2_654_435_761 + 12_345) % flat.size for n in range(8)]
    return {
        "shape": list(values.shape),
        "mean": float(f"{values.astype(np.float64).mean():.8g}"),
        "values": [float(f"{flat[place]:.8g}") for place in places],
    }
