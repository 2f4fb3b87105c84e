"""Turn the labels of models into terms that people type.

A term has no ``|``, ``/``, ``,`` or ``;``, which separate keywords or levels in the files of photo
programs, and at most 64 bytes, the limit of IPTC keywords.
"""

from __future__ import annotations

import re
import unicodedata

from pictag.errors import OptionError, shorten

MAX_BYTES = 64  # of one IPTC keyword

_PLACES_LETTER = re.compile(r"^/?[a-z]/(?=[a-z])")  # Places365: /a/abbey
_PLACES_INDEX = re.compile(r"(?<=\S) \d+$")  # Places365's list of categories: /a/abbey 0
_SEPARATORS = re.compile(r"[|/,;]+")
_SPACES = re.compile(r"[\s\x00-\x1f\x7f]+")


def clean_label(label: str) -> tuple[str, ...]:
    r"""The terms in a label, the clearest first: its first name and its synonyms; empty if it has none.

    >>> clean_label("tench, Tinca tinca")
    ('tench', 'Tinca tinca')
    >>> clean_label("/a/apartment_building/outdoor 8"), clean_label(r"saber_\(fate\)")
    (('outdoor apartment building',), ('saber (fate)',))
    >>> clean_label(":/")
    ()
    """
    is_place = label.startswith("/") or re.fullmatch(r"[a-z_]+/[a-z_]+", label) is not None
    if is_place:
        label = _PLACES_INDEX.sub("", label)
        name, _, kind = _PLACES_LETTER.sub("", label).strip("/").partition("/")
        label = f"{kind.replace('/', ' ')} {name}" if kind else name
    terms = (clean_term(part) for part in re.split(r",(?=\s|$)", label.replace("_", " ").replace("\\", "")))
    return tuple(dict.fromkeys(filter(None, terms)))


def clean_term(text: str) -> str:
    """One term: separators become spaces; cut to 64 bytes, at a space where there is one.

    >>> clean_term("night club; bar")
    'night club bar'
    """
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    text = _SEPARATORS.sub(" ", text)
    text = _SPACES.sub(" ", text).strip()
    if not any(character.isalnum() for character in text):
        return ""
    if len(text.encode()) > MAX_BYTES:
        text = text.encode()[:MAX_BYTES].decode(errors="ignore")
        text = text[: text.rfind(" ")] if " " in text else text
    return text


def check_term(word: str) -> str:
    """The word as a term, with single spaces. Raises `OptionError` if it can't be one as it is.

    >>> check_term("  Aunt   Mary ")
    'Aunt Mary'
    """
    term = clean_term(word)
    if not term or term != " ".join(word.split()):
        raise OptionError(
            f"The keyword {shorten(word, 80)!r} can't be used as it is: a keyword has at most 64 bytes, and "
            "no comma, semicolon, slash or vertical bar. Give several words one by one."
        )
    return term
