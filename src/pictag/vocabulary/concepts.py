"""pictag's vocabulary: about 290 broader concepts above the 1,000 classes of ImageNet.

``concepts.tsv`` is written by ``training/make_vocabulary.py`` from WordNet 3.0 and a hand-edited list; the
page docs/vocabulary.md shows the tree. Concepts come first, then the classes in the order of their WordNet
ids. WordNet is copyright Princeton University; its licence is in ``WORDNET-LICENSE.txt`` beside the file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A term and the broader concepts above it; the first parent is the one that `path` follows.

    ``id`` is the WordNet 3.0 id, or ``None`` for a concept that WordNet doesn't have, such as "kitchen".
    """

    id: str | None
    word: str
    synonyms: tuple[str, ...] = ()
    parents: tuple[Concept, ...] = ()

    @property
    def path(self) -> tuple[str, ...]:
        """The words from the broadest concept to this one.

        >>> read_concepts()["dog"].path
        ('animal', 'mammal', 'dog')
        """
        above = self.parents[0].path if self.parents else ()
        return above if above[-1:] == (self.word,) else (*above, self.word)

    def climb(self) -> tuple[Concept, ...]:
        """This concept and all above it, each once, in no particular order."""
        found = dict.fromkeys((self,))
        for parent in self.parents:
            found.update(dict.fromkeys(parent.climb()))
        return tuple(found)


def read_concepts() -> dict[str, Concept]:
    """The broader concepts by word, each after its parents.

    >>> read_concepts()["cat"].id
    'n02121808'
    """
    return _read()[0]


def read_classes() -> tuple[Concept, ...]:
    """The classes of ImageNet-1k, in the order of their WordNet ids.

    >>> read_classes()[292].word, read_classes()[292].path
    ('tiger', ('animal', 'mammal', 'wild cat', 'big cat', 'tiger'))
    """
    return _read()[1]


@cache
def count_classes() -> dict[str, int]:
    """How many classes are below each concept: the fewer, the more it says.

    >>> count_classes()["animal"] > count_classes()["dog"] > count_classes()["terrier"]
    True
    """
    return dict(Counter(above.word for term in read_classes() for above in term.climb() if above is not term))


def read_class_names() -> tuple[str, ...]:
    """The first name of each class in ImageNet's own list, which models use; two classes are called crane.

    >>> read_class_names()[517], read_classes()[517].word
    ('crane', 'construction crane')
    """
    return _read()[2]


@cache
def _read() -> tuple[dict[str, Concept], tuple[Concept, ...], tuple[str, ...]]:
    text = Path(__file__).with_name("concepts.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    waiting = {row[1]: row for row in rows if not row[4]}
    concepts: dict[str, Concept] = {}

    def build(row: list[str]) -> Concept:
        identity, word, synonyms, parents, _ = row
        return Concept(
            id=identity or None,
            word=word,
            synonyms=tuple(filter(None, synonyms.split("|"))),
            parents=tuple(map(find, filter(None, parents.split("|")))),
        )

    def find(word: str) -> Concept:
        if word not in concepts:
            concepts[word] = build(waiting[word])
        return concepts[word]

    for word in waiting:
        find(word)
    classes = [row for row in rows if row[4]]
    return concepts, tuple(map(build, classes)), tuple(row[4] for row in classes)
