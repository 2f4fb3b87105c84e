"""What the page asks for: the text of its search box, and the choices beside it, as one query."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from pictag.errors import OptionError, shorten
from pictag.gallery.query import AllOf, AnyOf, Condition, Words, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pictag.gallery.query import Term

HIDDEN_WORD: Final = "hidden in pictag"
"""The keyword of photos that a person hid: stored like any other decision, so that it is exported too."""
FACETS: Final = ("label", "type", "date", "is")
Sort = Literal["auto", "best", "newest", "oldest", "name"]
SORTS: tuple[Sort, ...] = get_args(Sort)
_REFERENCE: Final = "#"  # similar:"#12" is the file with the id 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query in parts. ``included`` and ``excluded`` have values by facet.

    ``like`` is the id of a file that the images are similar to. The order ``auto`` is the best first if the
    question rates images, otherwise the newest. Photos with a ``blurred`` label are blurred.
    """

    text: str = ""
    included: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    excluded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min_score: float | None = None
    like: int | None = None
    is_hidden_shown: bool = False
    sort: Sort = "auto"
    blurred: tuple[str, ...] = ()

    def compose(self) -> str:
        """The query in the query language.

        Raises `pictag.errors.QueryError` for the text, with the place in the text.

        >>> Question(text="rex OR max", included={"label": ("dog", "cat")}, is_hidden_shown=True).compose()
        '(rex OR max) label:"dog","cat"'
        """
        tree = parse(self.text)
        text = self.text.strip()
        parts = [f"({text})" if any(isinstance(term, AnyOf) for term in tree.terms) else text]
        for key in FACETS:
            if included := self.included.get(key):
                parts.append(f"{key}:{','.join(map(_quote, included))}")
            parts += [f"-{key}:{_quote(value)}" for value in self.excluded.get(key, ())]
        if self.min_score is not None:
            parts.append(f"score>={self.min_score:g}")
        if self.like is not None:
            parts.append(f'similar:"{_REFERENCE}{self.like}"')
        if not self.is_hidden_shown:
            parts.append(f'-keyword:"{HIDDEN_WORD}"')
        return " ".join(filter(None, parts))

    def show(self) -> str:
        """The query as a person would write it for ``pictag search``, without what only the page knows."""
        return Question(
            text=self.text,
            included=self.included,
            excluded=self.excluded,
            min_score=self.min_score,
            is_hidden_shown=True,
        ).compose()


def list_sought(terms: Iterable[Term]) -> Iterator[tuple[Words, tuple[str, ...]]]:
    """The words that a query asks for, and where they may be: keyword, label, name."""
    for term in terms:
        match term:
            case Words():
                yield term, ("keyword", "label", "name")
            case Condition(key="label" | "keyword"):
                yield from ((value, (term.key,)) for value in term.values)
            case AllOf() | AnyOf():
                yield from list_sought(term.terms)


def read_question(parameters: Iterable[tuple[str, str]]) -> Question:
    """The question in a URL's parameters: ``text``, ``label``, ``-label``, …, ``min``, ``like``, ``sort``.

    Raises `OptionError` for a value that can't be used.

    >>> read_question([("text", "sea"), ("-type", "png"), ("min", "0.5")]).compose()
    'sea -type:"png" score>=0.5 -keyword:"hidden in pictag"'
    """
    given = list(parameters)
    single = dict(given)
    sort = single.get("sort", "auto")
    if sort not in SORTS:
        raise OptionError(f"sort={shorten(sort, 80)!r} is not one of {', '.join(SORTS)}.")
    return Question(
        text=single.get("text", ""),
        included={key: _values(given, key) for key in FACETS},
        excluded={key: _values(given, f"-{key}") for key in FACETS},
        min_score=read_number("min", single["min"]) if single.get("min") else None,
        like=int(read_number("like", single["like"])) if single.get("like") else None,
        is_hidden_shown=single.get("hidden") == "1",
        sort=sort,
        blurred=_values(given, "blur"),
    )


def read_number(name: str, text: str) -> float:
    """A number in a parameter. Raises `OptionError`."""
    try:
        number = float(text)
    except ValueError as error:
        raise OptionError(f"{name}={shorten(text, 80)!r} is not a number.") from error
    if not 0 <= number < 2**53:
        raise OptionError(f"{name}={shorten(text, 80)} is not allowed.")
    return number


def read_reference(text: str) -> int | None:
    """The id of a file in ``similar:"#12"``; None for anything else."""
    digits = text.removeprefix(_REFERENCE)
    return int(digits) if digits != text and digits.isascii() and digits.isdigit() else None


def _values(given: Iterable[tuple[str, str]], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for name, value in given if name == key))


def _quote(value: str) -> str:
    """A value in quotes; one in it counts as a space, as in every search."""
    return '"' + value.replace('"', " ") + '"'
