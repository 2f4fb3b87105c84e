"""Keyword catalogues of Lightroom and Photo Mechanic: text, one term per line, tabs for each level.

    animals
        dog
                {hound}
        [internal]

A term in braces is a synonym of the term above it, one in brackets is not exported: it is a level of the
path, but never a keyword.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pictag.errors import OptionError, shorten
from pictag.vocabulary import read_classes, read_concepts

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator

    from pictag.vocabulary import Concept

_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueTerm:
    """A term; ``path`` leads to it from the top level, itself included."""

    word: str
    path: tuple[str, ...]
    synonyms: tuple[str, ...] = ()
    exported: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The terms of a catalogue, in its order."""

    terms: tuple[CatalogueTerm, ...]
    _by_word: dict[str, CatalogueTerm] = field(init=False, repr=False, compare=False)
    _by_synonym: dict[str, CatalogueTerm] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_word: dict[str, CatalogueTerm] = {}
        by_synonym: dict[str, CatalogueTerm] = {}
        for term in self.terms:
            by_word.setdefault(term.word.casefold(), term)
            for synonym in term.synonyms:
                by_synonym.setdefault(synonym.casefold(), term)
        object.__setattr__(self, "_by_word", by_word)
        object.__setattr__(self, "_by_synonym", by_synonym)

    def match(self, concept: Concept, words: Collection[str] = ()) -> CatalogueTerm | None:
        """The term for a concept: by WordNet id, by word, or by synonym; ``None`` if there is none.

        A synonym that is the word of another concept (``words``) doesn't count: "crane" is a bird before it
        is a synonym of "construction crane".

        >>> catalogue = parse_catalogue("Tiere\\n\\tHund\\n\\t\\t{dog}\\n")
        >>> catalogue.match(read_concepts()["dog"]).path
        ('Tiere', 'Hund')
        """
        names = (concept.id, concept.word, *(s for s in concept.synonyms if s not in words))
        for name in filter(None, names):
            found = self._by_word.get(name.casefold()) or self._by_synonym.get(name.casefold())
            if found is not None:
                return found
        return None


def read_catalogue(path: str | os.PathLike[str]) -> Catalogue:
    """The catalogue in a file: UTF-8, or UTF-16 with a byte order mark. Raises `OptionError`."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise OptionError(f"Cannot read the vocabulary {shorten(path)}: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        raise OptionError(f"The vocabulary {shorten(path)} has more than {_MAX_BYTES // 2**20} MB.")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise OptionError(
            f"The vocabulary {shorten(path)} is not UTF-8 text (byte {error.start:,}). Save it as UTF-8."
        ) from error
    try:
        return parse_catalogue(text)
    except OptionError as error:
        raise OptionError(f"The vocabulary {shorten(path)}: {error}") from error


def parse_catalogue(text: str) -> Catalogue:
    """The catalogue in a text. Raises `OptionError`, which names the line."""
    terms: list[CatalogueTerm] = []
    trail: list[tuple[str, int]] = []  # words, and their places in `terms`
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        level, word = len(line) - len(line.lstrip("\t")), line.strip()
        if level > len(trail):
            raise OptionError(f"line {number} is indented by {level} tabs, but nothing is above it.")
        del trail[level:]
        if word.startswith("{") and word.endswith("}"):
            if not trail:
                raise OptionError(f"line {number} is a synonym of nothing.")
            place = trail[-1][1]
            term = terms[place]
            terms[place] = CatalogueTerm(
                word=term.word,
                path=term.path,
                synonyms=(*term.synonyms, word[1:-1].strip()),
                exported=term.exported,
            )
            continue
        exported = not (word.startswith("[") and word.endswith("]"))
        word = word if exported else word[1:-1].strip()
        trail.append((word, len(terms)))
        terms.append(CatalogueTerm(word=word, path=tuple(name for name, _ in trail), exported=exported))
    if not terms:
        raise OptionError("it has no terms.")
    return Catalogue(terms=tuple(terms))


def write_catalogue() -> str:
    """pictag's own vocabulary as such a text.

    >>> write_catalogue().splitlines()[:5]
    ['animal', '\\t{creature}', '\\t{fauna}', '\\tmammal', '\\t\\tdog']
    """
    return "".join(f"{line}\n" for line in _write_level(None, [*read_concepts().values(), *read_classes()]))


def _write_level(parent: Concept | None, terms: Iterable[Concept], level: int = 0) -> Iterator[str]:
    """The terms whose first parent is ``parent``, with all below them.

    A class with the word of its concept is left out.
    """
    for term in terms:
        above = term.parents[0] if term.parents else None
        if above is not parent or (above is not None and above.word == term.word):
            continue
        yield "\t" * level + term.word
        for synonym in term.synonyms:
            yield "\t" * (level + 1) + "{" + synonym + "}"
        yield from _write_level(term, terms, level + 1)
