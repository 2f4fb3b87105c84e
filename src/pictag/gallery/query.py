r"""The query language of ``pictag search``: text to a syntax tree.

    query      = [ any of ] ;
    any of     = all of , { "OR" , all of } ;
    all of     = term , { [ "AND" ] , term } ;
    term       = { "-" | "NOT" } , ( "(" , any of , ")" | score | condition | words ) ;
    score      = "score" , ( ">" | ">=" | "<" | "<=" | ":" ) , number , [ "%" ] ;
    condition  = key , ":" , value , { "," , value } ;
    value      = quoted | characters without space, comma or unmatched ")" , [ "*" ] ;
    words      = quoted | characters without space or unmatched ")" , [ "*" ] ;
    quoted     = '"' , characters without '"' , '"' ;
    key        = "label" | "keyword" | "is" | "after" | "before" | "date" | "in" | "type" | "similar" ;

Keys are written in any case, and ``OR``, ``AND`` and ``NOT`` in capitals. What doesn't look like a key is
text: ``http://x``, ``C++``, ``don't``, ``T-shirt``, ``12:30``. docs/search.md says what the terms mean.

The parser is written by hand, because its errors point at the place and suggest what was meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

from pictag.errors import QueryError, shorten, suggest
from pictag.gallery.word_forms import tokenize

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYS: Final = ("label", "keyword", "score", "is", "after", "before", "date", "in", "type", "similar")
STATES: Final = ("confirmed", "unreviewed", "rejected")
TYPES: Final = ("raw", "jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic")
_OTHER_NAMES: Final = {"jpg": "jpeg", "tif": "tiff", "heif": "heic"}
_OPPOSITES: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
MAX_CHARACTERS: Final = 10_000
MAX_TERMS: Final = 200  # each takes up to 17 bytes for each file, in memory
MAX_DEPTH: Final = 50  # of parentheses, for Python's own stack

_KEY = re.compile(r"([a-z][a-z_-]+):(?!//)", re.IGNORECASE)
_SCORE = re.compile(r"score\s*(>=|<=|>|<|:|==?|!=)\s*", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(%?)(?=[\s)]|$)")
_COMPARED = re.compile(r"[^\W\d]\w*\s?[<>]=?\s?\.?\d")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_PLAIN_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Text to find. Quoted text is found word for word; otherwise ``*`` at the end is a prefix."""

    text: str
    is_quoted: bool = False

    @property
    def is_prefix(self) -> bool:
        """Whether the last word is only the beginning of one."""
        return self.text.endswith("*") and not self.is_quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A key with values, of which one must be true: ``type:raw,png``."""

    key: str
    values: tuple[Words, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A bound for the scores of the labels in the same conjunction: ``score>0.5``."""

    operator: str
    number: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The term must not be true."""

    term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """All terms must be true; a conjunction."""

    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """One of the terms must be true."""

    terms: tuple[Term, ...]


Term = Words | Condition | Score | Not | AllOf | AnyOf


def parse(text: str) -> AllOf:
    """The syntax tree of a query; an empty query is true for all files.

    Raises `pictag.errors.QueryError`, which has the position of the error.

    >>> parse("dog -type:raw,png").terms[0]
    Words(text='dog', is_quoted=False)
    >>> parse("dog (cat")
    Traceback (most recent call last):
    pictag.errors.QueryError: This '(' has no ')' after it.
    """
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"The query has {len(text):,} characters; at most {MAX_CHARACTERS:,} are allowed.")
    return _Parser(text).parse()


@dataclass(slots=True)
class _Parser:
    text: str
    place: int = 0
    depth: int = field(default=0, init=False)
    terms: int = field(default=0, init=False)

    def parse(self) -> AllOf:
        if self._is_at_end():
            return AllOf()
        tree = self._read_any()
        if not self._is_at_end():
            raise self._error("This ')' has no '(' before it.", self.place, self.place + 1)
        return tree if isinstance(tree, AllOf) else AllOf(terms=(tree,))

    def _read_any(self) -> Term:
        parts = [self._read_all(None)]
        while (place := self._take_word("OR")) is not None:
            parts.append(self._read_all(place))
        return parts[0] if len(parts) == 1 else AnyOf(terms=tuple(parts))

    def _read_all(self, after: int | None) -> Term:
        """A conjunction; ``after`` is the place of the OR before it."""
        terms: list[Term] = []
        operator = None if after is None else ("OR", after)  # that needs a term
        while not self._is_at_end() and self.text[self.place] != ")" and not self._sees_word("OR"):
            place = self._take_word("AND")
            if place is None:
                terms.append(self._read_term())
                operator = None
            elif operator is not None or not terms:
                raise self._operator_error("AND", place)
            else:
                operator = "AND", place
        if operator is not None:
            raise self._operator_error(*operator)
        if not terms and self._sees_word("OR"):
            raise self._operator_error("OR", self.place)
        if not terms:
            raise self._error("This ')' has no '(' before it.", self.place, self.place + 1)
        return terms[0] if len(terms) == 1 else AllOf(terms=tuple(terms))

    def _read_term(self) -> Term:
        self._is_at_end()
        start = self.place
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"Parentheses are nested more than {MAX_DEPTH} deep.", start, start + 1)
        try:
            if self._take_word("NOT") is not None:
                if self._is_at_end():
                    raise self._error("NOT needs a term after it.", start, start + 3)
                return _negate(self._read_term())
            if self.text.startswith("--", start):
                raise self._error("Write one '-' to exclude what follows.", start, start + 2)
            if self.text[start] == "-" and _PLAIN_WORD.match(self.text, start + 1):
                self.place += 1
                return _negate(self._read_term())
            if self.text[start] == "(":
                return self._read_group(start)
            return self._read_score() or self._read_condition() or self._read_words()
        finally:
            self.depth -= 1

    def _read_group(self, start: int) -> Term:
        self.place += 1
        if not self._is_at_end() and self.text[self.place] == ")":
            raise self._error("There is nothing between these parentheses.", start, self.place + 1)
        inner = self._read_any() if not self._is_at_end() else None
        if inner is None or self._is_at_end():
            raise self._error("This '(' has no ')' after it.", start, start + 1)
        self.place += 1
        return inner

    def _read_score(self) -> Score | None:
        match = _SCORE.match(self.text, self.place)
        if match is None:
            return None
        operator = ">=" if match[1] == ":" else match[1]
        number = _NUMBER.match(self.text, match.end())
        if operator not in (">", ">=", "<", "<=") or number is None:
            raise self._error(
                "A score is compared with a number: score>0.5, score>=0.5, score<0.5 or score<=0.5.",
                *self._word_at(self.place),
            )
        value = float(number[1]) / (100 if number[2] else 1)
        if value > 1:
            hint = f" Did you mean {number[1]}%?" if value <= 100 and not number[2] else ""
            raise self._error(f"Scores are between 0 and 1.{hint}", number.start(), number.end())
        self.place = number.end()
        return Score(operator=operator, number=value)

    def _read_condition(self) -> Condition | None:
        match = _KEY.match(self.text, self.place)
        if match is None:
            return None
        start, key = self.place, match[1].lower()
        if key not in KEYS:
            hint = suggest(key, KEYS) or f" The keys are {', '.join(KEYS)}."
            raise self._error(
                f"Unknown key '{match[1]}:'.{hint} To search for it as text, put it in quotes.",
                start,
                match.end(),
            )
        self.place = match.end()
        values = [self._read_value(key)]
        while self.text.startswith(",", self.place):
            self.place += 1
            values.append(self._read_value(key))
        return Condition(key=key, values=tuple(values))

    def _read_value(self, key: str) -> Words:
        start = self.place
        value = self._read_quoted() or self._read_plain(",")
        if not value.text:
            after = "the comma" if self.text[start - 1] == "," else "the colon"
            raise self._error(f"{key}: needs a value directly after {after}.", *self._word_at(start - 1))
        return self._check_value(key, value, start)

    def _check_value(self, key: str, value: Words, start: int) -> Words:
        place = (start, self.place)
        if key in ("label", "keyword"):
            self._check_searchable(value, start)
        elif key in ("after", "before", "date"):
            if not _is_date(value.text):
                raise self._error(
                    f"{shorten(value.text)!r} is not a date. Write a year, a month or a day: "
                    f"{key}:2024, {key}:2024-06 or {key}:2024-06-30.",
                    *place,
                )
        elif key == "is":
            return Words(text=self._choose("is", value.text, STATES, place))
        elif key == "type":
            name = value.text.lower()
            return Words(text=self._choose("type", _OTHER_NAMES.get(name, name), TYPES, place))
        return value

    def _choose(self, key: str, given: str, known: Iterable[str], place: tuple[int, int]) -> str:
        if given.lower() in known:
            return given.lower()
        hint = suggest(given.lower(), known)
        raise self._error(
            f"{key}: doesn't know {shorten(given)!r}.{hint} Use one of: {', '.join(known)}.", *place
        )

    def _read_words(self) -> Words:
        start = self.place
        compared = _COMPARED.match(self.text, start)
        if compared is not None:
            raise self._error(
                "Only 'score' can be compared with a number. For the score of a label, write for example "
                "label:dog score>0.5.",
                *self._word_at(start),
            )
        words = self._read_quoted() or self._read_plain("")
        self._check_searchable(words, start)
        return words

    def _check_searchable(self, words: Words, start: int) -> None:
        if not tokenize(words.text):
            raise self._error(
                f"{shorten(words.text)!r} has no letter or digit to search for.",
                start,
                max(self.place, start + 1),
            )

    def _read_quoted(self) -> Words | None:
        if not self.text.startswith('"', self.place):
            return None
        end = self.text.find('"', self.place + 1)
        if end < 0:
            raise self._error("This quote isn't closed.", self.place, self.place + 1)
        text = self.text[self.place + 1 : end]
        if not text:
            raise self._error("There is nothing between these quotes.", self.place, end + 1)
        self._count_term()
        self.place = end + 1
        return Words(text=text, is_quoted=True)

    def _count_term(self) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise self._error(
                f"The query has more than {MAX_TERMS} words and values.", *self._word_at(self.place)
            )

    def _read_plain(self, stop: str) -> Words:
        """Characters up to a space, a character of ``stop``, or a parenthesis that closes one before."""
        start, depth = self.place, 0
        self._count_term()
        while self.place < len(self.text):
            character = self.text[self.place]
            if character.isspace() or character in stop:
                break
            depth += (character == "(") - (character == ")")
            if depth < 0:
                break
            self.place += 1
        return Words(text=self.text[start : self.place])

    def _is_at_end(self) -> bool:
        """Whether only spaces are left; skips them."""
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1
        return self.place >= len(self.text)

    def _sees_word(self, word: str) -> bool:
        end = self.place + len(word)
        return self.text.startswith(word, self.place) and (
            end >= len(self.text) or self.text[end].isspace() or self.text[end] in "()"
        )

    def _take_word(self, word: str) -> int | None:
        """The place of an operator, if it comes next."""
        if self._is_at_end() or not self._sees_word(word):
            return None
        self.place += len(word)
        return self.place - len(word)

    def _word_at(self, start: int) -> tuple[int, int]:
        match = _PLAIN_WORD.match(self.text, start)
        return start, match.end() if match is not None else start + 1

    def _operator_error(self, operator: str, place: int) -> QueryError:
        return self._error(
            f"{operator} needs a term on both sides. To search for it as text, put it in quotes.",
            place,
            place + len(operator),
        )

    def _error(self, message: str, start: int, end: int) -> QueryError:
        return QueryError(message, query=self.text, start=start, end=end)


def _negate(term: Term) -> Term:
    if isinstance(term, Score):
        return Score(operator=_OPPOSITES[term.operator], number=term.number)
    return Not(term=term)


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text) or not text.isascii():
        return False
    try:
        date.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text)
    except ValueError:
        return False
    return True
