"""Limits for reading one image: pixels, bytes, seconds, redirects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pictag.errors import OptionError

MAX_PIXELS = 178_956_970  # twice Pillow's MAX_IMAGE_PIXELS, above which Pillow raises an error
MAX_FETCHED_BYTES = 32 * 2**20
MAX_TIMEOUT_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Limits for decoding an image, and what happens to its transparency.

    ``max_pixels`` (width × height) is checked from the header, before any pixel is decoded. ``max_bytes``
    limits the encoded image; ``None`` means no limit. ``alpha="drop"`` ignores transparency, as the
    reference implementation does: the colour under a transparent pixel shows. ``alpha="white"`` flattens
    the image on white.

    >>> ImageLimits(max_pixels=1_000_000).alpha
    'drop'
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int | None = None
    alpha: Literal["drop", "white"] = "drop"

    def __post_init__(self) -> None:
        if self.alpha not in ("drop", "white"):
            raise OptionError(f"alpha must be 'drop' or 'white', not {self.alpha!r}.")
        if self.max_pixels < 1 or (self.max_bytes is not None and self.max_bytes < 1):
            raise OptionError("max_pixels and max_bytes must be at least 1 (max_bytes may be None).")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Limits for reading a URL, and the addresses it may lead to.

    ``timeout_s`` is the total time: name lookup, connecting, redirects and the whole body.
    ``allow_private`` allows loopback, private and other addresses that are not on the public internet.

    >>> FetchLimits().timeout_s, FetchLimits().max_redirects
    (10.0, 3)
    """

    timeout_s: float = 10.0
    max_bytes: int = MAX_FETCHED_BYTES
    max_redirects: int = 3
    allow_private: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s <= MAX_TIMEOUT_S or self.max_bytes < 1 or self.max_redirects < 0:
            raise OptionError(
                f"timeout_s must be above 0 and at most {MAX_TIMEOUT_S:,}, max_bytes at least 1 and "
                f"max_redirects at least 0; got {self.timeout_s}, {self.max_bytes} and {self.max_redirects}."
            )
