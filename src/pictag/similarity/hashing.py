"""Fingerprints of an image: a checksum of its pixels, and a hash that survives resizing and compression.

The hash is the difference hash of N. Krawetz, "Kind of Like That" (2013): the image is reduced to 9 × 8 grey
values, and each of the 64 bits says whether a value is larger than the one on its left.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRID = (9, 8)
_BAND_BYTES = 100_000
# A blank page, a plain colour or a sky: of the 64 differences, fewer are noticeable (at least 2 of 255), or
# almost all have the same sign. The photographs that were tried have at least 23, and 10 of each sign.
_NOTICEABLE, _MIN_NOTICEABLE, _MIN_SIGNS = 2, 12, 4
# Rows that are all alike, such as those of an object on a plain background, give the same hash for many
# different images. Among 25,000 images of Tiny ImageNet, 768 pairs of different images are within 6 bits of
# each other, and 9 pairs if both hashes have at least 10 bits that differ from the one above. 95 % have.
_MIN_CHANGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """``pixels`` is the SHA-256 of an image's size and RGB values; equal images have equal checksums.

    ``hash`` and ``mirrored_hash`` are the 64-bit difference hashes of the image and its mirror image, both
    ``None`` if the image has almost no structure, such as a blank page, because all such images have similar
    hashes.
    """

    pixels: bytes
    hash: int | None
    mirrored_hash: int | None


def describe(image: Image.Image) -> Fingerprint:
    """The fingerprint of an upright image; other modes than RGB are converted.

    >>> flat = describe(Image.new("RGB", (100, 100), "white"))
    >>> flat.hash, len(flat.pixels)
    (None, 32)
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    grid = np.asarray(rgb.convert("L").resize(_GRID, Image.Resampling.BOX))
    bits = _compare(grid)
    ones = int(np.count_nonzero(bits))
    noticeable = np.count_nonzero(np.abs(np.diff(grid.astype(np.int16), axis=1)) >= _NOTICEABLE)
    if noticeable < _MIN_NOTICEABLE or min(ones, bits.size - ones) < _MIN_SIGNS:
        return Fingerprint(pixels=_checksum(rgb), hash=None, mirrored_hash=None)
    return Fingerprint(pixels=_checksum(rgb), hash=_pack(bits), mirrored_hash=_pack(_compare(grid[:, ::-1])))


def are_distinctive(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether hashes are distinctive enough for near duplicates: not if most of their rows are the same.

    >>> are_distinctive(np.array([0x0F0F0F0F0F0F0F0F, 0x0123456789ABCDEF], np.uint64)).tolist()
    [False, True]
    """
    changes: NDArray[np.bool_] = (
        np.bitwise_count((hashes ^ (hashes >> 8)) & np.uint64(2**56 - 1)) >= _MIN_CHANGES
    )
    return changes


def count_different_bits(one: int, other: int) -> int:
    """The Hamming distance of two hashes, 0 to 64. Different photographs have a distance of 10 or more.

    >>> count_different_bits(0b1100, 0b1010)
    2
    """
    return (one ^ other).bit_count()


def _checksum(image: Image.Image) -> bytes:
    checksum = hashlib.sha256(b"RGB %d %d\n" % image.size)
    # In bands: new memory for all pixels at once costs as much time as the checksum.
    height = max(1, _BAND_BYTES // (3 * image.width))
    for top in range(0, image.height, height):
        bottom = min(top + height, image.height)
        checksum.update(image.crop((0, top, image.width, bottom)).tobytes())
    return checksum.digest()


def _compare(grid: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return grid[:, 1:] > grid[:, :-1]


def _pack(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes())
