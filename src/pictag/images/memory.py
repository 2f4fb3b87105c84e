"""What the system's allocator does with the blocks of memory that images take."""

from __future__ import annotations

import functools

import numpy as np

_LARGEST_BYTES = 16 * 2**20  # a large JPEG's file, and its image when it was scaled down while decoded


@functools.cache
def keep_blocks() -> None:
    """Have blocks of up to 16 MB kept for the next image, where they went back to the system for each.

    glibc gives blocks back that are larger than any that was freed before, and the next image's memory has
    to be fetched page by page: with images of 12 megapixels, scaled down while they are decoded, a
    twentieth of the time. One block that is freed, and was never touched, teaches it. Elsewhere this does
    nothing.
    """
    np.empty(_LARGEST_BYTES, np.uint8)
