"""Which files a query selects, and how well they match.

A conjunction has one *scope*: the bounds of its ``score`` and the states of its ``is``. It applies to all
words and labels of the conjunction, also in parentheses. Without any word or label, ``score`` applies to an
image's best label, and ``is`` to any decision about the image.

A file that matches has the lowest score of the labels that were searched for, and the highest in an ``OR``.
Words that people confirmed or wrote have the score 1; names of files have none.

Files are ranked: words that people confirmed or wrote come first, then labels with exactly the name searched
for, then labels that contain it, and names of files last. The ranks of a conjunction's words are added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pictag.gallery.columns import MIN_SCORE
from pictag.gallery.query import STATES, AllOf, AnyOf, Condition, Not, Score, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pictag.gallery.columns import Columns, NamedTerm
    from pictag.gallery.query import Term

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    FindSimilar = Callable[[str], Mapping[int, float]]

_CERTAIN: Final = 3.0  # the rank of words that people confirmed or wrote
_NO_RATING: Final = np.empty(0)
_EXACT: Final = 1.0  # added to the score of labels with exactly the name searched for


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The condition for labels of a conjunction: scores from ``floor`` to ``ceiling``.

    Without bounds, the lowest score is `MIN_SCORE`; without ``states``, all labels that weren't rejected.
    """

    floor: float | None = None
    ceiling: float | None = None
    states: frozenset[str] | None = None

    @property
    def is_default(self) -> bool:
        """Whether there is no condition for labels, so that names of files match too."""
        return self == Scope()

    @property
    def has_bounds(self) -> bool:
        """Whether there is a condition for scores."""
        return self.floor is not None or self.ceiling is not None

    @property
    def lowest(self) -> float:
        """The lowest score that is in bounds."""
        if self.floor is not None:
            return self.floor
        return MIN_SCORE if self.ceiling is None else 0.0

    def takes(self, state: str) -> bool:
        """Whether labels in this state match."""
        return state != "rejected" if self.states is None else state in self.states

    def holds(self, scores: Floats) -> Bools:
        """Which scores are in bounds."""
        held = scores >= self.lowest
        return held if self.ceiling is None else held & (scores <= self.ceiling)

    @property
    def takes_certain(self) -> bool:
        """Whether words that people confirmed or wrote, with the score 1, are in bounds."""
        return self.takes("confirmed") and bool(self.holds(np.ones(1))[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The selected files, their scores (NaN: none) and their ranks (0: only names match)."""

    mask: Bools
    scores: Floats
    ranks: Floats


@dataclass(slots=True)
class Selector:
    """Evaluates queries on the columns of a library.

    ``find_similar`` rates the contents that are like an image. Without ``is_rating`` there are only masks,
    which take half the time.
    """

    columns: Columns
    find_similar: FindSimilar
    is_rating: bool = True
    _selected: dict[tuple[Term, Scope], Selected] = field(default_factory=dict, init=False)

    def select(self, term: Term, scope: Scope = Scope()) -> Selected:
        """The files for which a term is true."""
        key = term, scope if names_label(term) else Scope()
        if key not in self._selected:
            self._selected[key] = self._select(*key)
        return self._selected[key]

    def _select(self, term: Term, scope: Scope) -> Selected:
        match term:
            case AllOf():
                scope = narrow(scope, term.terms)
                return self.combine([self.select(part, scope) for part in list_parts(term.terms)])
            case AnyOf():
                return self._join([self.select(part, scope) for part in term.terms])
            case Not():
                found = self.select(term.term, scope)
                return self._make(~found.mask)
            case Words():
                return self._select_words(term, scope)
            case Score():
                return self._select_score(narrow(Scope(), (term,)))
            case Condition():
                return self._select_condition(term, scope)

    def combine(self, parts: Sequence[Selected]) -> Selected:
        """The files that all parts have."""
        found = self._make(np.ones(len(self.columns.file_ids), np.bool_))
        for part in parts:
            np.logical_and(found.mask, part.mask, out=found.mask)
            np.fmin(found.scores, part.scores, out=found.scores)
            np.add(found.ranks, part.ranks, out=found.ranks)
        if self.is_rating:
            found.scores[~found.mask] = np.nan
            found.ranks[~found.mask] = 0
        return found

    def _join(self, parts: Sequence[Selected]) -> Selected:
        """The files that one of the parts has."""
        found = self._make(np.zeros(len(self.columns.file_ids), np.bool_))
        for part in parts:
            np.logical_or(found.mask, part.mask, out=found.mask)
            np.fmax(found.scores, part.scores, out=found.scores)
            np.maximum(found.ranks, part.ranks, out=found.ranks)
        return found

    def _make(self, mask: Bools, scores: Floats | None = None, ranks: Floats | None = None) -> Selected:
        if not self.is_rating:
            return Selected(mask=mask, scores=_NO_RATING, ranks=_NO_RATING)
        return Selected(
            mask=mask,
            scores=np.full(len(mask), np.nan) if scores is None else scores,
            ranks=np.zeros(len(mask)) if ranks is None else ranks,
        )

    def _select_condition(self, term: Condition, scope: Scope) -> Selected:
        texts = [value.text for value in term.values]
        match term.key:
            case "label":
                return self._join([self._select_label(value, scope) for value in term.values])
            case "keyword":
                return self._join([self._select_keyword(value) for value in term.values])
            case "similar":
                return self._join([self._select_similar(text) for text in texts])
            case "is":
                mask = self._is_reviewed(texts)
            case "in":
                inside = [self.columns.is_inside(value) for value in term.values]
                mask = np.logical_or.reduce(inside)[self.columns.folders]
            case "type":
                names = self.columns.type_names
                mask = np.isin(self.columns.types, [names.index(text) for text in texts if text in names])
            case _:
                mask = self._is_dated(term.key, texts)
        return self._make(mask)

    def _select_words(self, words: Words, scope: Scope) -> Selected:
        """The files with a label, a keyword of people or a name that has these words."""
        exact = self.columns.find_terms(words, is_whole=True)
        others = [term for term in self.columns.find_terms(words, is_whole=False) if term not in exact]
        named = self._select_terms(exact, scope, bonus=_EXACT)
        containing = self._select_terms(others, scope, bonus=0)
        found = self._join((named, containing))
        if self.is_rating:
            np.copyto(found.scores, named.scores, where=named.mask)
        if scope.takes_certain:
            found = self._join((found, self._select_keyword(words)))
        if scope.is_default:
            found = self._join((found, self._make(self._has_text("names", words))))
        return found

    def _select_keyword(self, words: Words) -> Selected:
        """The files with a keyword that people wrote, or confirmed, with these words."""
        mask = self._has_text("people", words)
        return self._make(mask, np.where(mask, 1.0, np.nan), np.where(mask, _CERTAIN, 0.0))

    def _has_text(self, column: str, words: Words) -> Bools:
        mask = np.zeros(len(self.columns.file_ids), np.bool_)
        mask[self.columns.find_text(column, words)] = True
        return mask

    def _select_label(self, words: Words, scope: Scope) -> Selected:
        """The files with the label of that name; if there is none, with one that has these words."""
        terms = self.columns.find_terms(words, is_whole=True) or self.columns.find_terms(
            words, is_whole=False
        )
        return self._select_terms(terms, scope, bonus=_EXACT)

    def _select_terms(self, terms: Iterable[NamedTerm], scope: Scope, *, bonus: float) -> Selected:
        """The files with one of these labels in scope; their ranks are their scores and the bonus."""
        count, contents = len(self.columns.content_ids), self.columns.contents
        mask = np.zeros(count, np.bool_)
        found = [part for term in terms for part in self.find_contents(term, scope)]
        for places, _ in found:
            mask[places] = True
        if not self.is_rating:
            return self._make(mask[contents])
        best, ranks = np.full(count, np.nan), np.zeros(count)
        for places, scores in found:
            best[places] = np.fmax(best[places], scores)
        ranks[mask] = best[mask] + bonus
        for term in terms if scope.takes_certain else ():
            if term.id in self.columns.decided:
                ranks[self.columns.decided[term.id].confirmed] = _CERTAIN
        return self._make(mask[contents], best[contents], ranks[contents])

    def find_contents(self, term: NamedTerm, scope: Scope) -> list[tuple[NDArray[np.int64], Floats]]:
        """The contents with a label in scope: places and scores, in parts that share no content."""
        places, scores = self.columns.scores(term.id, scope.lowest)
        if scope.states is None and scope.ceiling is None:  # nearly always
            return [(places, scores)]
        if scope.ceiling is not None:
            held = scope.holds(scores)
            places, scores = places[held], scores[held]
        decided = self.columns.decided.get(term.id)
        if decided is None:
            return [(places, scores)] if scope.takes("unreviewed") else []
        parts = []
        if scope.takes("unreviewed"):
            is_confirmed = np.zeros(len(self.columns.content_ids), np.bool_)
            is_confirmed[decided.confirmed] = True
            held = ~is_confirmed[places]
            parts.append((places[held], scores[held]))
        if scope.takes_certain:
            parts.append((decided.confirmed, np.ones(len(decided.confirmed))))
        if scope.takes("rejected"):
            held = scope.holds(decided.rejected_scores) | (not scope.has_bounds)
            parts.append((decided.rejected[held], decided.rejected_scores[held]))
        return parts

    def _select_score(self, scope: Scope) -> Selected:
        """The files whose best label is in bounds."""
        best = self.columns.best_scores()[self.columns.contents]
        return self._rate(np.where(scope.holds(best), best, np.nan))

    def _select_similar(self, path: str) -> Selected:
        found = self.find_similar(path)
        places, is_known = self.columns.find_contents(np.fromiter(found, np.int64, len(found)))
        best = np.full(len(self.columns.content_ids), np.nan)
        best[places] = np.fromiter(found.values(), np.float64, len(found))[is_known]
        return self._rate(best[self.columns.contents])

    def _rate(self, scores: Floats) -> Selected:
        return self._make(~np.isnan(scores), scores, np.nan_to_num(scores))

    def _is_reviewed(self, states: Sequence[str]) -> Bools:
        count = len(self.columns.content_ids)
        confirmed, rejected = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        for decided in self.columns.decided.values():
            confirmed[decided.confirmed] = True
            rejected[decided.rejected] = True
        unreviewed = ~(confirmed | rejected) & (self.columns.content_ids > 0)
        found = {"confirmed": confirmed, "rejected": rejected, "unreviewed": unreviewed}
        mask: Bools = np.logical_or.reduce([found[state] for state in states])
        return mask[self.columns.contents]

    def _is_dated(self, key: str, values: Sequence[str]) -> Bools:
        days = self.columns.days
        mask = np.zeros(len(days), np.bool_)
        for value in values:
            digits = value.replace("-", "")
            unit = 10 ** (8 - len(digits))
            first, end = int(digits) * unit, (int(digits) + 1) * unit
            if key == "after":
                mask |= days >= first
            elif key == "before":
                mask |= (days < first) & (days > 0)
            else:
                mask |= (days >= first) & (days < end)
        return mask


def list_parts(terms: Sequence[Term]) -> list[Term]:
    """The terms that are true or false by themselves: not ``score`` and ``is`` if they are about labels."""
    if not any(map(names_label, terms)):
        return list(terms)
    return [term for term in terms if not is_about_labels(term)]


def narrow(scope: Scope, terms: Sequence[Term]) -> Scope:
    """The scope of a conjunction of these terms inside ``scope``."""
    for term in terms:
        if isinstance(term, Score):
            scope = _bound(scope, term)
        elif is_about_labels(term):
            states = _read_states(term)
            scope = replace(scope, states=states if scope.states is None else scope.states & states)
    return scope


def _bound(scope: Scope, score: Score) -> Scope:
    number = score.number
    if score.operator in (">", "<"):  # the next number that is in bounds
        number = math.nextafter(number, math.inf if score.operator == ">" else -math.inf)
    if score.operator.startswith(">"):
        return replace(scope, floor=number if scope.floor is None else max(number, scope.floor))
    return replace(scope, ceiling=number if scope.ceiling is None else min(number, scope.ceiling))


def is_about_labels(term: Term) -> bool:
    """Whether a term is about the labels of its conjunction."""
    inner = term.term if isinstance(term, Not) else term
    return isinstance(term, Score) or (isinstance(inner, Condition) and inner.key == "is")


def names_label(term: Term) -> bool:
    """Whether a term, or one inside it, is a word or a label."""
    match term:
        case Words():
            return True
        case Condition():
            return term.key == "label"
        case Not():
            return names_label(term.term)
        case AllOf() | AnyOf():
            return any(map(names_label, term.terms))
    return False


def _read_states(term: Term) -> frozenset[str]:
    if isinstance(term, Not):  # a rejected label is not one of the image's
        assert isinstance(term.term, Condition)
        return frozenset(STATES) - {value.text for value in term.term.values} - {"rejected"}
    assert isinstance(term, Condition)
    return frozenset(value.text for value in term.values)
