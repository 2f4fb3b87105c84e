"""Groups of near duplicates: the same photograph in another size, quality, tone, crop, or mirrored.

Two images are near if their hashes, or the hash of one and the mirrored hash of the other, differ in at most
6 bits, or if the cosine of their embeddings reaches the model's cut. "Near" isn't transitive: a series of
photographs can lead from one image to a different one. Therefore a group is one image and those that
are near to it, rather than everything that is connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MAX_DIFFERENT_BITS = 6
_ROWS, _COLUMNS = 512, 4096  # a tile of pairs: 8 MB of float32


def group_near(
    hashes: Sequence[int | None],
    mirrored: Sequence[int | None],
    embeddings: NDArray[Any] | None,
    *,
    cut: float,
) -> list[list[int]]:
    """The groups of at least two near images, as indices; no index is in two groups.

    Each group starts with the image that the others are near to: the one with the most near images, of
    equal ones the first. The others follow in their order.

    Args:
        hashes: The difference hash of each image, ``None`` where it has none.
        mirrored: The mirrored hashes, likewise.
        embeddings: L2-normalised rows [N, D], float16 or float32; a row of zeros is near to no other row.
            ``None`` compares hashes only.
        cut: The lowest cosine of near images, see `pictag.similarity.find_cosine_cut`.

    >>> group_near([0x1234, None, 0x1236, 0xFF00FF00], [None] * 4, None, cut=1.0)
    [[0, 2]]
    """
    pairs = _Pairs(hashes, mirrored, embeddings, cut)
    counts = pairs.count_near()
    # With the most near images first, an original is the first of its group rather than one of its variants.
    waiting = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    is_taken = np.zeros(len(hashes), np.bool_)
    groups = []
    while len(waiting):
        rows, waiting = waiting[:_ROWS], waiting[_ROWS:]
        for row, near in zip(rows.tolist(), pairs.compare_with_all(rows), strict=True):
            if not is_taken[row]:
                found = np.flatnonzero(near & ~is_taken)
                others = found[found != row]
                if len(others):
                    is_taken[[row, *others]] = True
                    groups.append([row, *others.tolist()])
        waiting = waiting[~is_taken[waiting]]
    return sorted(groups)


class _Pairs:
    """Which pairs of images are near, computed for a tile of pairs at a time."""

    def __init__(
        self,
        hashes: Sequence[int | None],
        mirrored: Sequence[int | None],
        embeddings: NDArray[Any] | None,
        cut: float,
    ) -> None:
        self._size = len(hashes)
        self._hashes = np.array([value or 0 for value in hashes], np.uint64)
        self._has_hash = np.array([value is not None for value in hashes], np.bool_)
        known = [own if value is None else value for own, value in zip(hashes, mirrored, strict=True)]
        self._mirrored = np.array([value or 0 for value in known], np.uint64)
        self._embeddings = embeddings
        self._cut = cut

    def count_near(self) -> NDArray[np.int64]:
        """The number of images that are near to each one, without itself."""
        counts = np.zeros(self._size, np.int64)
        for start in range(0, self._size, _ROWS):
            rows = np.arange(start, min(start + _ROWS, self._size))
            for columns, near in self._compare(rows, first=start):
                once = near & (columns > rows[:, None])
                counts[rows] += once.sum(axis=1)
                counts[columns] += once.sum(axis=0)
        return counts

    def compare_with_all(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each row's image [R] is near to each image: [R, N]."""
        return np.concatenate([near for _, near in self._compare(rows, first=0)], axis=1)

    def _compare(
        self, rows: NDArray[np.int64], *, first: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """The columns [C] from ``first`` on, in tiles, and whether they are near to the rows: [R, C]."""
        hashes, mirrored = self._hashes[rows, None], self._mirrored[rows, None]
        vectors = None if self._embeddings is None else self._embeddings[rows].astype(np.float32)
        for start in range(first, self._size, _COLUMNS):
            tile = slice(start, min(start + _COLUMNS, self._size))
            near = np.bitwise_count(hashes ^ self._hashes[tile]) <= MAX_DIFFERENT_BITS
            near |= np.bitwise_count(mirrored ^ self._hashes[tile]) <= MAX_DIFFERENT_BITS
            near &= self._has_hash[rows, None] & self._has_hash[tile]
            if self._embeddings is not None and vectors is not None:
                near |= vectors @ self._embeddings[tile].astype(np.float32, copy=False).T >= self._cut
            yield np.arange(tile.start, tile.stop), near
