"""Is a wrong label at least of the right kind? Accuracy for broader concepts, such as "dog" or "vehicle"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pictag.evaluation.estimates import Estimate, estimate_share
from pictag.evaluation.metrics import Bools, Ints
from pictag.vocabulary import match_labels

if TYPE_CHECKING:
    from pictag.evaluation.mapping import LabelMapping
    from pictag.evaluation.scored import ScoredModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptFigures:
    """Of the images whose class is below this concept, how many have a best label below it.

    ``as_label`` is how many of the same images have exactly the right label.
    """

    word: str
    path: tuple[str, ...]
    right: Estimate
    as_label: Estimate


def judge_concepts(
    mapping: LabelMapping, model: ScoredModel, truth: Ints, predicted: Ints
) -> tuple[Estimate | None, tuple[ConceptFigures, ...]]:
    """The concepts above the images' classes, most images first; and the share with the right kind.

    The kind of an image is the narrowest concept above its class: "terrier" for an Airedale. ``truth`` and
    ``predicted`` are places in ``mapping.names`` [N]. ``None`` if no class has a broader concept.
    """
    meaning = match_labels(model.labels, model.wordnet_ids)
    members = []
    for place in range(len(meaning.broader)):
        below = np.zeros(len(mapping.names), bool)
        below[mapping.places[meaning.labels_below(place)]] = True
        members.append(below)
    if not members:
        return None, ()
    right = truth == predicted
    concepts = []
    for concept, below in zip(meaning.broader, members, strict=True):
        inside = below[truth]
        n = int(inside.sum())
        if n:
            concepts.append(
                ConceptFigures(
                    word=concept.word,
                    path=concept.path,
                    right=estimate_share(int(below[predicted][inside].sum()), n),
                    as_label=estimate_share(int(right[inside].sum()), n),
                )
            )
    table: Bools = np.stack(members)
    sizes = np.where(table, table.sum(axis=1, keepdims=True), table.shape[1] + 1)
    narrowest: Ints = sizes.argmin(axis=0)
    has_kind = np.isin(truth, np.flatnonzero(table.any(axis=0)))
    same_kind = table[narrowest[truth], predicted] & has_kind
    overall = estimate_share(int(same_kind.sum()), int(has_kind.sum())) if has_kind.any() else None
    return overall, tuple(sorted(concepts, key=lambda concept: -concept.right.n))
