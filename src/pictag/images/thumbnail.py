"""A small upright copy of an image, as a JPEG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from pictag.images.read import read_image

if TYPE_CHECKING:
    from pictag.images.source import Source


def make_thumbnail(source: Source, *, size: int, quality: int = 85) -> bytes:
    """JPEG bytes with ``size`` pixels on the longest side, or fewer for a smaller image.

    Raises what `pictag.images.read_image` raises.
    """

    def fit(full: tuple[int, int]) -> tuple[int, int]:
        scale = min(1.0, size / max(full))
        return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))

    image = read_image(source, needed=fit).rgb
    if max(image.size) > size:
        image = image.resize(fit(image.size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
