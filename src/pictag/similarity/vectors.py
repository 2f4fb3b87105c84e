"""Cosine similarity of embeddings: exact search over blocks of rows in half or single precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray


def normalize(vectors: ArrayLike) -> NDArray[np.float32]:
    """The vectors [D] or [N, D] with length 1, as float32. A vector of zeros stays as it is.

    >>> normalize([[3, 4], [0, 0]]).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    array = np.asarray(vectors, np.float32)
    lengths = np.asarray(np.linalg.norm(array, axis=-1, keepdims=True), np.float32)
    lengths[lengths == 0] = 1
    return array / lengths


def search_blocks(
    query: ArrayLike, blocks: Iterable[tuple[NDArray[np.int64], NDArray[Any]]], *, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``k`` rows with the highest cosine, best first: their ids and cosines in -1…1.

    Args:
        query: A vector [D] of any length but 0.
        blocks: Pairs of ids [n] and L2-normalised rows [n, D], float16 or float32. A single block of float32
            in memory is fastest; blocks that are read one by one need little memory.
        k: How many; fewer are found in fewer rows. Of equal cosines, the lower id comes first.

    >>> rows = normalize([[1, 0], [0, 1], [1, 1]])
    >>> ids, cosines = search_blocks([2, 0], [(np.array([10, 20, 30]), rows)], k=2)
    >>> ids.tolist(), cosines.round(2).tolist()
    ([10, 30], [1.0, 0.7099999785423279])
    """
    vector = normalize(query)
    ids, cosines = np.empty(0, np.int64), np.empty(0, np.float32)
    for block_ids, rows in blocks:
        found = rows.astype(np.float32, copy=False) @ vector
        # Rows of float16 are a little longer or shorter than 1.
        ids, cosines = np.append(ids, block_ids), np.append(cosines, np.clip(found, -1, 1))
        if len(ids) > k:
            cut = np.partition(cosines, len(cosines) - k)[len(cosines) - k]
            kept = cosines >= cut
            ids, cosines = ids[kept], cosines[kept]
    order = np.lexsort((ids, -cosines))[:k]
    return ids[order], cosines[order]
