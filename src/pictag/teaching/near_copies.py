"""Near copies among the examples: they stay together in cross-validation, and mixed labels are reported.

`pictag.similarity` has cuts for photographs of anything. Images of one kind, such as X-rays, are all alike by
these cuts. Images with different labels aren't copies of each other, apart from mistakes, so they show it: a
cut that too many such pairs reach is raised, and hashes that too many share aren't used. Embeddings aren't
used if the base's cut wasn't measured, or if hardly any distinct images of a label would remain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pictag.similarity import compare_hashes, group_near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pictag.similarity import CosineCut
    from pictag.teaching.examples import Example

_SAMPLE = 3000  # images that are compared to judge the cuts
_MIN_DISTINCT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NearCopies:
    """``groups`` has a number for each image [N], the same for near copies; ``sets`` are these as indices."""

    groups: NDArray[np.int64]
    sets: tuple[tuple[int, ...], ...]

    def count_distinct(self, chosen: NDArray[np.bool_]) -> int:
        """The number of chosen images [N] if near copies count once."""
        return len(np.unique(self.groups[chosen]))


def find_near_copies(examples: Sequence[Example], targets: NDArray[np.bool_], cut: CosineCut) -> NearCopies:
    """The near copies among the examples, whose labels are ``targets`` [N, L].

    ``cut`` is the lowest cosine of near copies' embeddings.
    """
    embeddings = np.stack([example.embedding for example in examples])
    hashes: list[int | None] = [example.fingerprint.hash for example in examples]
    mirrored: list[int | None] = [example.fingerprint.mirrored_hash for example in examples]
    chosen = np.unique(np.linspace(0, len(examples) - 1, _SAMPLE).astype(np.int64))
    without = ~targets.any(axis=1, keepdims=True)  # images without a label have that in common
    labels = np.hstack([targets, without])[chosen].astype(np.float32)
    differ = np.triu(labels @ labels.T == 0, k=1)
    mistakes = 5 + len(chosen) // 10  # pairs with different labels that may be copies
    near = compare_hashes([hashes[i] for i in chosen], [mirrored[i] for i in chosen])
    if (near & differ).sum() > mistakes:
        hashes = mirrored = [None] * len(examples)
    if cut.is_measured:
        cosines = np.sort((embeddings[chosen] @ embeddings[chosen].T)[differ])
        lowest = cut.cosine
        if len(cosines) > mistakes:
            lowest = max(lowest, float(np.nextafter(cosines[-mistakes - 1], np.float32(2))))
        copies = _collect(group_near(hashes, mirrored, embeddings, cut=lowest), len(examples))
        if all(copies.count_distinct(column) >= _MIN_DISTINCT for column in targets.T):
            return copies
    return _collect(group_near(hashes, mirrored, None, cut=1.0), len(examples))


def _collect(sets: Sequence[Sequence[int]], count: int) -> NearCopies:
    groups = np.arange(count)
    for members in sets:
        groups[list(members)] = members[0]
    return NearCopies(groups=groups, sets=tuple(map(tuple, sets)))
