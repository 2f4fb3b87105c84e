"""Keywords as values, and the rules by which pictag's are merged with those that people wrote."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pictag.errors import OptionError, shorten

IPTC_BYTES = 64
"""The longest keyword that IPTC's field can store, in bytes."""
SEPARATOR = "|"
"""Between the levels of an entry of ``lr:hierarchicalSubject``."""
_REPLACED = str.maketrans({SEPARATOR: "-", "/": "-"})  # "/" separates levels in digiKam
# XML stores neither control characters nor surrogates, and reads a carriage return as a line feed.
_NOT_STORABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean_word(text: str) -> str:
    r"""One line without control characters, and ``-`` for the separators of hierarchies, ``|`` and ``/``.

    >>> clean_word(" AC/DC\n")
    'AC-DC'
    """
    return clean_line(text).translate(_REPLACED)


def clean_line(text: str) -> str:
    """One line without the characters that XML can't store."""
    return " ".join(storable(" ".join(text.split())).split())


def storable(text: str) -> str:
    """The text without the characters that XML can't store, or stores differently."""
    return _NOT_STORABLE.sub("", text).strip()


def identity(word: str) -> str:
    """Equal for the same text, composed or decomposed."""
    return unicodedata.normalize("NFC", word)


def meaning(word: str) -> str:
    """Equal for words that a reader takes for the same one: case doesn't matter.

    >>> meaning("CAFE\u0301") == meaning("caf\u00e9")
    True
    """
    return identity(identity(word).casefold())


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword: its levels from broad to narrow, of which the last is the keyword itself.

    Words are cleaned as `clean_word` does. Raises `OptionError` for an empty word.

    >>> Keyword(("animal", "mammal", "dog")).word
    'dog'
    """

    path: tuple[str, ...]

    def __post_init__(self) -> None:
        words = tuple(clean_word(word) for word in self.path)
        if not words or not all(words):
            raise OptionError(f"A keyword can't be empty: {shorten(self.path)}.")
        object.__setattr__(self, "path", words)

    @property
    def word(self) -> str:
        """The keyword without its broader terms."""
        return self.path[-1]

    @property
    def entry(self) -> str:
        """The keyword as an entry of ``lr:hierarchicalSubject``."""
        return SEPARATOR.join(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKeywords:
    """The keywords of one file, in their order.

    ``subject`` has the flat ones (``dc:subject`` and IPTC), ``hierarchical`` the entries of
    ``lr:hierarchicalSubject``. ``ours`` and ``our_hierarchical`` are those of them that pictag wrote.
    """

    subject: tuple[str, ...] = ()
    hierarchical: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    our_hierarchical: tuple[str, ...] = ()

    @property
    def people(self) -> tuple[str, ...]:
        """The words that people wrote, flat or as a level of an entry, each once.

        >>> FileKeywords(subject=("Rex", "dog"), hierarchical=("pets|Rex",), ours=("dog",)).people
        ('Rex', 'pets')
        """
        entries = without(self.hierarchical, self.our_hierarchical)
        return unique([*without(self.subject, self.ours), *levels(entries)])


def combine(parts: Sequence[FileKeywords]) -> FileKeywords:
    """The keywords of several places that describe one image.

    A keyword that people wrote in one place isn't pictag's, even if pictag copied it to another place.
    """
    people = unique(word for part in parts for word in without(part.subject, part.ours))
    ours = unique([*people, *(word for part in parts for word in part.ours)])[len(people) :]
    entries = unique(e for part in parts for e in without(part.hierarchical, part.our_hierarchical))
    our_entries = unique([*entries, *(e for part in parts for e in part.our_hierarchical)])[len(entries) :]
    return FileKeywords(
        subject=people + ours,
        hierarchical=entries + our_entries,
        ours=ours,
        our_hierarchical=our_entries,
    )


def without(words: Iterable[str], dropped: Iterable[str]) -> list[str]:
    """The words without the dropped ones; each drops its last occurrence.

    >>> without(["dog", "sea", "dog"], ["dog"])
    ['dog', 'sea']
    """
    left = Counter(map(identity, dropped))
    kept = []
    for word in reversed(list(words)):
        if left[identity(word)]:
            left[identity(word)] -= 1
        else:
            kept.append(word)
    return kept[::-1]


def unique(words: Iterable[str]) -> tuple[str, ...]:
    """The first of the words that mean the same."""
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(meaning(word), word)
    return tuple(found.values())


def levels(entries: Iterable[str]) -> list[str]:
    """All words of hierarchical entries."""
    return [word for entry in entries for word in entry.split(SEPARATOR) if word]


def missing_words(wanted: Iterable[str], present: Sequence[str]) -> tuple[str, ...]:
    """The wanted words that the present ones lack, each once."""
    known = {meaning(word) for word in present}
    return tuple(word for word in unique(wanted) if meaning(word) not in known)


def missing_entries(
    keywords: Sequence[Keyword], *, subject: Sequence[str], entries: Sequence[str]
) -> tuple[str, ...]:
    """The hierarchical entries to add for the keywords and for the flat words of ``subject``.

    An entry contains its broader ones. A flat word that no entry contains gets one of its own, because
    darktable and Immich read only the hierarchical list where there is one.
    """
    present = {meaning(word) for word in levels(entries)}
    paths = [k.path for k in keywords if len(k.path) > 1 and meaning(k.word) not in present]
    broader = {path[:n] for path in paths for n in range(1, len(path))}
    paths = [path for path in paths if path not in broader]
    covered = present | {meaning(word) for path in paths for word in path}
    flat = [word for word in subject if not covered.issuperset(map(meaning, levels([word])))]
    wanted = [k.entry for k in keywords if k.path in paths or meaning(k.word) not in covered]
    return missing_words([*flat, *wanted], entries)
