"""Connect a model's labels with the vocabulary."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pictag.vocabulary.concepts import Concept, read_class_names, read_classes, read_concepts
from pictag.vocabulary.labels import clean_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MIN_SHARE = 0.9  # of labels with a name from ImageNet's list: its models, and models of some of its classes
_MIN_LABELS = 10  # fewer names may be in that list by chance
_REST = frozenset(["background", "none of these", "other"])  # the label of images that show nothing else
_WORDNET_ID = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConcepts:
    """What the labels of one model mean.

    ``labels`` has each label as a term, in the model's order, ``None`` for one without a word. ``broader``
    are the concepts above them, and ``members[starts[i]:starts[i + 1]]`` the indices of the labels below
    ``broader[i]``.
    """

    labels: tuple[Concept | None, ...]
    broader: tuple[Concept, ...]
    members: NDArray[np.int64]
    starts: NDArray[np.int64]

    def labels_below(self, place: int) -> NDArray[np.int64]:
        """The indices of the labels below ``broader[place]``."""
        return self.members[self.starts[place] : self.starts[place + 1]]

    def combine(self, scores: NDArray[np.float32], *, exclusive: bool) -> NDArray[np.float32]:
        """The score of each broader concept from the scores of all labels [L].

        The probabilities of labels that exclude each other (softmax) are summed; of independent labels
        (sigmoid) the largest counts.

        >>> concepts = match_labels(("n02123045", "n02123159", "n07753592"))
        >>> sums = concepts.combine(np.array([0.5, 0.25, 0.125], np.float32), exclusive=True)
        >>> {c.word: float(s) for c, s in zip(concepts.broader, sums)}["cat"]
        0.75
        """
        if not self.broader:
            return np.empty(0, np.float32)
        combined = (np.add if exclusive else np.maximum).reduceat(scores[self.members], self.starts[:-1])
        return np.asarray(np.minimum(combined, 1) if exclusive else combined, np.float32)


def match_labels(labels: Sequence[str], wordnet_ids: Sequence[str] = ()) -> LabelConcepts:
    """The meaning of a model's labels.

    With ``wordnet_ids``, or labels that are WordNet ids or names of ImageNet's classes, there are broader
    concepts. So there are if all labels are concepts, in the singular or plural, for those that have a
    concept in common: "cats" and "dogs" are animals, but of "tennis", "golf" and "squash" the last one stays
    a mere label. Other labels stand for themselves, split into a name and synonyms.
    """
    return _match(tuple(labels), tuple(wordnet_ids))


@lru_cache(maxsize=16)
def _match(labels: tuple[str, ...], wordnet_ids: tuple[str, ...]) -> LabelConcepts:
    terms = _find_classes(labels, wordnet_ids) or _find_concepts(labels)
    if terms is None:
        terms = [_make_term(label) for label in labels]
    concepts = read_concepts()
    below: dict[str, list[int]] = defaultdict(list)
    for index, term in enumerate(terms):
        if term is not None:
            for concept in term.climb():
                if concepts.get(concept.word) is concept:  # a label may be a concept itself
                    below[concept.word].append(index)
    broader = [concept for word, concept in concepts.items() if word in below]
    return LabelConcepts(
        labels=tuple(terms),
        broader=tuple(broader),
        members=np.array([index for concept in broader for index in below[concept.word]], np.int64),
        starts=np.cumsum([0, *(len(below[concept.word]) for concept in broader)]),
    )


def _find_classes(labels: Sequence[str], wordnet_ids: Sequence[str]) -> list[Concept | None] | None:
    """The ImageNet class of each label; ``None`` if the model's labels are not such classes."""
    ids = wordnet_ids if len(wordnet_ids) == len(labels) else labels
    if sum(bool(_WORDNET_ID.fullmatch(text)) for text in ids) >= _MIN_SHARE * len(ids) > 0:
        by_id = {term.id: term for term in (*read_concepts().values(), *read_classes())}
        return [by_id.get(i) or _make_term(label) for i, label in zip(ids, labels, strict=True)]
    known = _classes_by_name()
    places: dict[str, list[int]] = defaultdict(list)
    for place, label in enumerate(labels):
        places[_normalize(label)].append(place)
    found: dict[int, Concept] = {}
    for name, used in places.items():
        # A name of two classes, such as crane, is clear only if the model has both, which are in order.
        if len(used) == len(known.get(name, ())):
            found.update(zip(used, known[name], strict=True))
    if len(found) < max(_MIN_LABELS, _MIN_SHARE * len(labels)):
        return None
    return [found.get(place) or _make_term(label) for place, label in enumerate(labels)]


def _find_concepts(labels: Sequence[str]) -> list[Concept | None] | None:
    """The concepts that labels are; ``None`` if some are neither concepts nor the rest.

    A single word such as "squash" may mean something else. It's a concept only if another label has the same
    concept above it.
    """
    concepts = read_concepts()
    found: list[Concept | None] = []
    for label in labels:
        name = _normalize(label)
        found.append(concepts.get(name) or concepts.get(name.removesuffix("s")))
        if found[-1] is None and name not in _REST:
            return None
    counts = Counter(above.word for concept in found if concept for above in concept.climb())
    return [
        concept if concept and any(counts[above.word] > 1 for above in concept.climb()) else _make_term(label)
        for concept, label in zip(found, labels, strict=True)
    ]


@cache
def _classes_by_name() -> dict[str, tuple[Concept, ...]]:
    """ImageNet's classes by their first name in its list, and by pictag's own word."""
    found: dict[str, tuple[Concept, ...]] = defaultdict(tuple)
    for term, name in zip(read_classes(), read_class_names(), strict=True):
        found[_normalize(name)] += (term,)
    for term in read_classes():
        found.setdefault(_normalize(term.word), (term,))
    return dict(found)


def _normalize(label: str) -> str:
    """The first name of a label, however it is spelled."""
    return re.sub(r"[\s_]+", " ", label.split(", ", maxsplit=1)[0]).strip().casefold()


def _make_term(label: str) -> Concept | None:
    terms = clean_label(label)
    return Concept(id=None, word=terms[0], synonyms=terms[1:]) if terms else None
