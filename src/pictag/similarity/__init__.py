"""Image similarity: checksums of pixels, difference hashes, cosines of embeddings, near duplicates.

>>> from PIL import Image
>>> from pictag.similarity import describe
>>> red, blue = (describe(Image.new("RGB", (8, 8), name)) for name in ("red", "blue"))
>>> red.pixels == blue.pixels
False
"""

from __future__ import annotations

from pictag.similarity.cuts import CosineCut, find_cosine_cut
from pictag.similarity.groups import MAX_DIFFERENT_BITS, compare_hashes, group_near
from pictag.similarity.hashing import Fingerprint, are_distinctive, count_different_bits, describe
from pictag.similarity.vectors import normalize, search_blocks

__all__ = [
    "MAX_DIFFERENT_BITS",
    "CosineCut",
    "Fingerprint",
    "are_distinctive",
    "compare_hashes",
    "count_different_bits",
    "describe",
    "find_cosine_cut",
    "group_near",
    "normalize",
    "search_blocks",
]
