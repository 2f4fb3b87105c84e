"""Decodes images that tests hold in memory."""

from __future__ import annotations

import io

from pictag.images.decode import DecodedImage, decode
from pictag.images.limits import ImageLimits


def decode_bytes(data: bytes, *, name: str = "<bytes>", limits: ImageLimits | None = None) -> DecodedImage:
    return decode(io.BytesIO(data), name=name, limits=limits)
