"""Pictures drawn by code, and a way to write them in any format."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """An RGB picture of 48×36 with gradients and some noise; all corners differ."""
    y, x = np.mgrid[0:36, 0:48]
    noise = np.random.default_rng(7).integers(0, 40, (36, 48, 3))
    return Image.fromarray((np.stack([x * 4, y * 5, x + y], axis=-1) + noise).astype(np.uint8))


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Writes an image: ``encode(image, "PNG", **options) -> bytes``."""

    def encode_image(image: Image.Image, form: str, **options: object) -> bytes:
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    return encode_image
