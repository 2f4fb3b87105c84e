"""Normalised words for comparison: without case, accents and punctuation, in the singular or plural."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+")
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "oxen": "ox", "dice": "die",
}  # fmt: skip
_NOT_PLURAL = frozenset(("news", "lens", "gas", "yes"))
_TAKE_ES = ("s", "x", "z", "ch", "sh", "o")

Forms = frozenset[str]


def fold(text: str) -> str:
    r"""The text without case and accents.

    >>> fold("Caf\u00e9 Z\u00dcRICH")
    'cafe zurich'
    """
    if text.isascii():  # the usual case, ten times as fast
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if unicodedata.category(character) != "Mn")


def tokenize(text: str) -> list[str]:
    """The words of a text, folded: its runs of letters and digits.

    >>> tokenize("Don't: T-shirts")
    ['don', 't', 't', 'shirts']
    """
    return _WORD.findall(fold(text))


def split_words(text: str) -> list[str]:
    """The words of a text as they are written.

    >>> split_words("Don't: T-shirts")
    ['Don', 't', 'T', 'shirts']
    """
    return _WORD.findall(unicodedata.normalize("NFC", text))


def list_forms(word: str) -> Forms:
    """The folded word and its possible singulars; two words are forms of one if these have one in common.

    >>> sorted(list_forms("butterflies")), sorted(list_forms("glass"))
    (['butterflie', 'butterflies', 'butterfly'], ['glass'])
    """
    forms = {word, _IRREGULAR.get(word, word)}
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and word not in _NOT_PLURAL:
        forms.add(word[:-1])
        if word.endswith("es") and word[:-2].endswith(_TAKE_ES):
            forms.add(word[:-2])
        if word.endswith("ies"):
            forms.add(f"{word[:-3]}y")
        if word.endswith("ves"):
            forms.update((f"{word[:-3]}f", f"{word[:-3]}fe"))
    return frozenset(forms)


def compile_words(words: Sequence[str], *, is_prefix: bool = False) -> re.Pattern[str]:
    """Finds folded words that follow each other in a folded text; with ``is_prefix`` the last is a beginning.

    >>> bool(compile_words(["img", "1"]).search("trip/img_12.jpg"))
    False
    >>> bool(compile_words(["img", "1"], is_prefix=True).search("trip/img_12.jpg"))
    True
    """
    end = "" if is_prefix else r"(?![^\W_])"
    return re.compile(r"(?<![^\W_])" + r"[\W_]+".join(words) + end)


def find_words(
    wanted: Sequence[Forms], words: Sequence[Forms], *, is_prefix: bool = False, is_whole: bool = False
) -> bool:
    """Whether the wanted words follow each other in a text.

    ``is_prefix``: the last wanted word is the beginning of one. ``is_whole``: the text has no other words.

    >>> label = [list_forms(word) for word in ("golden", "retriever")]
    >>> find_words([list_forms("retrievers")], label)
    True
    >>> find_words([list_forms("retrievers")], label, is_whole=True)
    False
    """
    spare = len(words) - len(wanted)
    if spare < 0 or (is_whole and spare):
        return False
    fixed = len(wanted) - is_prefix
    for start in range(spare + 1):
        if all(not wanted[i].isdisjoint(words[start + i]) for i in range(fixed)) and (
            not is_prefix or any(word.startswith(tuple(wanted[-1])) for word in words[start + fixed])
        ):
            return True
    return False
