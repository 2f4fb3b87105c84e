"""Groups of near duplicates: the same photograph in another size, quality, tone, crop, or mirrored.

Two images are near if their hashes, or the hash of one and the mirrored hash of the other, differ in at most
6 bits, or if the cosine of their embeddings reaches the model's cut. Hashes that many different images have
are left out. "Near" isn't transitive: a series of photographs can connect two different images. Therefore, a
group is one image and those that are near to it, not a connected component.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.similarity.hashing import are_distinctive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

MAX_DIFFERENT_BITS = 6
_ROWS, _COLUMNS = 256, 4096  # a tile of pairs: 4 MB of float32
_LEADING = 192  # dimensions that are compared first
_SAMPLE = 4096
_ROUNDING = 2e-3  # of float16 rows, whose length isn't exactly 1


def group_near(
    hashes: Sequence[int | None],
    mirrored: Sequence[int | None],
    embeddings: NDArray[Any] | None,
    *,
    cut: float,
    apart: Iterable[tuple[int, int]] = (),
) -> list[list[int]]:
    """The groups of at least two near images, as indices; no index is in two groups.

    Each group starts with the image that the others are near to: the one with the most near images, of
    equal ones the first. The others follow in their order.

    100,000 images with embeddings of 1,280 numbers take a minute of one core, or less with several.

    Args:
        hashes: The difference hash of each image, ``None`` where it has none.
        mirrored: The mirrored hashes, likewise.
        embeddings: L2-normalised rows [N, D], float16 or float32; a row of zeros is near to no other row.
            ``None`` compares hashes only.
        cut: The lowest cosine of near images, see `pictag.similarity.find_cosine_cut`.
        apart: Pairs that must not be in one group.

    >>> group_near([0x12345678, None, 0x12345670, 0xFF00FF00], [None] * 4, None, cut=1.0)
    [[0, 2]]
    """
    pairs = _Pairs(hashes, mirrored, embeddings, cut)
    counts = pairs.count_near()
    never = _both_ways(apart)
    # Starting with the most near images puts an original first in its group, not one of its variants.
    waiting = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    is_taken = np.zeros(len(hashes), np.bool_)
    groups = []
    while len(waiting):
        rows, waiting = waiting[:_ROWS], waiting[_ROWS:]
        for row, near in zip(rows.tolist(), pairs.compare_with_all(rows), strict=True):
            if not is_taken[row]:
                group = _choose_members(row, np.flatnonzero(near & ~is_taken).tolist(), never)
                if len(group) > 1:
                    is_taken[group] = True
                    groups.append(group)
        waiting = waiting[~is_taken[waiting]]
    return sorted(groups)


def compare_hashes(hashes: Sequence[int | None], mirrored: Sequence[int | None]) -> NDArray[np.bool_]:
    """Whether each image [N] is near to each image [N] by their hashes, as `group_near` compares them."""
    return _Pairs(hashes, mirrored, None, 1.0).compare_with_all(np.arange(len(hashes)))


def _both_ways(pairs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    others: dict[int, set[int]] = {}
    for one, other in pairs:
        others.setdefault(one, set()).add(other)
        others.setdefault(other, set()).add(one)
    return others


def _choose_members(first: int, near: list[int], never: dict[int, set[int]]) -> list[int]:
    group, excluded = [first], {first} | never.get(first, set())
    for index in near:
        if index not in excluded:
            group.append(index)
            excluded |= never.get(index, set())
    return group


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
        is_known = np.array([value is not None for value in hashes], np.bool_)
        self._has_hash = is_known & are_distinctive(self._hashes)
        known = [own if value is None else value for own, value in zip(hashes, mirrored, strict=True)]
        self._mirrored = np.array([value or 0 for value in known], np.uint64)
        self._embeddings = embeddings
        self._short = None if embeddings is None else _shorten_rows(embeddings)
        self._cut = cut

    def count_near(self) -> NDArray[np.int64]:
        """The number of images that are near to each one, without itself."""
        counts = np.zeros(self._size, np.int64)
        with ThreadPoolExecutor() as pool:  # numpy calculates outside Python's lock
            for found in pool.map(self._count_from, range(0, self._size, _ROWS)):
                counts[-len(found) :] += found
        return counts

    def _count_from(self, start: int) -> NDArray[np.int64]:
        """Near pairs of a few rows and all columns from them on, counted for both images."""
        counts = np.zeros(self._size - start, np.int64)
        for one, other in self._find(np.arange(start, min(start + _ROWS, self._size)), first=start):
            is_first = other > one  # each pair once
            for index in (one[is_first], other[is_first]):
                counts += np.bincount(index - start, minlength=len(counts))
        return counts

    def compare_with_all(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each row's image [R] is near to each image: [R, N]."""
        near = np.zeros((len(rows), self._size), np.bool_)
        places = np.empty(self._size, np.int64)
        places[rows] = np.arange(len(rows))
        for one, other in self._find(rows, first=0):
            near[places[one], other] = True
        return near

    def _find(
        self, rows: NDArray[np.int64], *, first: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Near pairs of ``rows`` and the columns from ``first`` on, as indices; some pairs come twice."""
        hashes, mirrored = self._hashes[rows, None], self._mirrored[rows, None]
        for start in range(first, self._size, _COLUMNS):
            tile = slice(start, start + _COLUMNS)
            near = np.bitwise_count(hashes ^ self._hashes[tile]) <= MAX_DIFFERENT_BITS
            near |= np.bitwise_count(mirrored ^ self._hashes[tile]) <= MAX_DIFFERENT_BITS
            near &= self._has_hash[rows, None] & self._has_hash[tile]
            one, other = _places(near)
            yield rows[one], other + start
            if self._embeddings is not None and self._short is not None:
                one, other = _places(self._short[rows] @ self._short[tile].T >= self._cut - _ROUNDING)
                for part in range(0, len(one), _COLUMNS):
                    a, b = rows[one[part : part + _COLUMNS]], other[part : part + _COLUMNS] + start
                    is_near = _multiply(self._embeddings[a], self._embeddings[b]) >= self._cut
                    yield a[is_near], b[is_near]


def _places(table: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the true values; faster than ``nonzero`` where they are few."""
    return np.divmod(np.flatnonzero(table), table.shape[1])


def _multiply(rows: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float32]:
    products: NDArray[np.float32] = np.einsum("nd,nd->n", rows.astype(np.float32), others.astype(np.float32))
    return products


def _shorten_rows(embeddings: NDArray[Any]) -> NDArray[np.float32]:
    """Rows whose product is at least that of the embeddings, but has a fraction of the numbers.

    They are the coordinates along the directions in which the embeddings are largest, and the length of the
    rest, which is the most that the rest can add to a product (Cauchy and Schwarz).
    """
    count, dimensions = embeddings.shape
    if dimensions <= 2 * _LEADING:
        return embeddings.astype(np.float32)
    sample = embeddings[:: max(1, count // _SAMPLE)].astype(np.float32)
    _, directions = np.linalg.eigh(sample.T @ sample)
    leading = directions[:, -_LEADING:]
    short = np.empty((count, _LEADING + 1), np.float32)
    for start in range(0, count, _COLUMNS):
        rows = embeddings[start : start + _COLUMNS].astype(np.float32)
        short[start : start + _COLUMNS, :-1] = rows @ leading
        rest = np.square(rows).sum(axis=1) - np.square(short[start : start + _COLUMNS, :-1]).sum(axis=1)
        short[start : start + _COLUMNS, -1] = np.sqrt(np.maximum(rest, 0))
    return short
