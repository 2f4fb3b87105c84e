"""Pictures: any kind of input becomes a Source, and a Source an upright 8-bit RGB Picture.

>>> from PIL import Image
>>> picture = read_picture(make_source(Image.new("L", (4, 3))))
>>> picture.image.mode, picture.original_size
('RGB', (4, 3))
"""

from __future__ import annotations

from pictag.images.decode import Picture
from pictag.images.folder import Failed, expand
from pictag.images.limits import FetchLimits, PictureLimits
from pictag.images.memory import keep_blocks
from pictag.images.read import prefetch, read_ahead, read_picture
from pictag.images.source import Source, is_single, make_source

__all__ = [
    "Failed",
    "FetchLimits",
    "Picture",
    "PictureLimits",
    "Source",
    "expand",
    "is_single",
    "keep_blocks",
    "make_source",
    "prefetch",
    "read_ahead",
    "read_picture",
]
