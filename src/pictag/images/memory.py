"""Makes the C allocator keep images' memory for the next image."""

from __future__ import annotations

import functools

import numpy as np

_LARGEST_BYTES = 16 * 2**20  # a large JPEG file, or its pixels when scaled down while decoding


@functools.cache
def keep_blocks() -> None:
    """Keep freed blocks of up to 16 MB for the next image, instead of returning them to the system.

    glibc returns blocks that are larger than any block freed before, and the next image's memory is mapped
    page by page again: 5% of the time for 12-megapixel JPEGs that are scaled down while decoding. Freeing
    one untouched block raises glibc's threshold. With other allocators this does nothing.
    """
    np.empty(_LARGEST_BYTES, np.uint8)
