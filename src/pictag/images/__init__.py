"""Images: make a Source from any kind of input, and read a Source into an upright 8-bit RGB DecodedImage.

>>> from PIL import Image
>>> image = read_image(make_source(Image.new("L", (4, 3))))
>>> image.rgb.mode, image.original_size
('RGB', (4, 3))
"""

from __future__ import annotations

from pictag.images.decode import DecodedImage
from pictag.images.folder import Failed, expand
from pictag.images.limits import FetchLimits, ImageLimits
from pictag.images.memory import keep_blocks
from pictag.images.read import read_ahead, read_image
from pictag.images.source import SingleInput, Source, is_single, iterate, make_source

__all__ = [
    "DecodedImage",
    "Failed",
    "FetchLimits",
    "ImageLimits",
    "SingleInput",
    "Source",
    "expand",
    "is_single",
    "iterate",
    "keep_blocks",
    "make_source",
    "read_ahead",
    "read_image",
]
