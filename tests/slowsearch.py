"""Searches a library as docs/search.md describes it: file by file, in plain Python, for comparison.

It knows nothing of SQLite, FTS5 or arrays. Its plurals are those of the words in `PLURALS`.
"""

from __future__ import annotations

import operator
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from libraries import Entry
from pictag.gallery.facets import FacetCount, Facets
from pictag.gallery.query import STATES, AllOf, AnyOf, Condition, Not, Score, Term, Words
from pictag.vocabulary import read_classes, read_concepts

PLURALS = {"dogs": "dog", "cats": "cat", "retrievers": "retriever", "beaches": "beach", "trips": "trip"}
SYNONYMS = {term.word: term.synonyms for term in (*read_classes(), *read_concepts().values())}
CERTAIN = 3.0


def tokenize(text: str, *, exact: bool) -> list[str]:
    words = re.findall(r"[a-z0-9]+", text.lower().replace("é", "e"))
    return words if exact else [PLURALS.get(word, word) for word in words]


def contains(text: str, words: Words, *, whole: bool = False) -> bool:
    exact = words.is_quoted or words.is_prefix
    there, wanted = tokenize(text, exact=exact), tokenize(words.text, exact=exact)
    places = range(len(there) - len(wanted) + 1)
    if whole:
        places = range(len(there) == len(wanted))
    for place in places:
        part = there[place : place + len(wanted)]
        if part == wanted or (
            words.is_prefix and part[:-1] == wanted[:-1] and part[-1].startswith(wanted[-1])
        ):
            return True
    return False


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One term of one file."""

    word: str
    score: float
    state: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.word, *SYNONYMS.get(self.word, ()))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the conjunction asks of labels."""

    bounds: tuple[Score, ...] = ()
    states: frozenset[str] | None = None

    def holds(self, score: float) -> bool:
        if not self.bounds:
            return score >= 0.2
        tests: dict[str, Callable[[float, float], bool]] = {
            ">": operator.gt,
            ">=": operator.ge,
            "<": operator.lt,
            "<=": operator.le,
        }
        return all(tests[bound.operator](score, bound.number) for bound in self.bounds)

    def takes(self, fact: Fact) -> bool:
        if self.states is None:
            return fact.state != "rejected" and self.holds(fact.score)
        if fact.state not in self.states:
            return False
        return self.holds(fact.score) or (fact.state == "rejected" and not self.bounds)

    @property
    def takes_certain(self) -> bool:
        return self.takes(Fact(word="", score=1.0, state="confirmed"))


@dataclass(frozen=True, kw_only=True)
class Rating:
    score: float | None = None
    rank: float = 0.0


@dataclass
class SlowSearch:
    """Evaluates queries on the entries of a library, of which those in ``missing`` are gone."""

    entries: Sequence[Entry]
    missing: frozenset[str] = frozenset()
    words: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.files = sorted(
            (e for e in self.entries if e.path not in self.missing), key=lambda e: os.fsencode(e.path)
        )
        self.words = sorted({word for entry in self.entries for word in (*entry.scores, *entry.decisions)})

    def search(self, tree: AllOf) -> list[tuple[str, float | None]]:
        found = [(entry, self.rate(entry, tree, Asked())) for entry in self.files]
        chosen = [(entry, rating) for entry, rating in found if rating is not None]
        chosen.sort(key=lambda pair: -pair[1].rank)
        return [(entry.path, rating.score) for entry, rating in chosen]

    def count(self, tree: AllOf) -> Facets:
        asked = narrow(Asked(), tree.terms)
        has_label = any(map(names_label, tree.terms))
        own = [term for term in tree.terms if not (has_label and about_labels(term))]

        def select(parts: Sequence[Term]) -> list[Entry]:
            return [e for e in self.files if all(self.rate(e, part, asked) is not None for part in parts)]

        types = Counter(e.type for e in select([t for t in own if not has_key(t, "type")]))
        years = Counter((e.taken or "")[:4] for e in select([t for t in own if not has_key(t, "date")]))
        others = select([t for t in tree.terms if not about_labels(t) and not has_key(t, "label")])
        labels = Counter(f.word for e in others for f in self.facts(e) if asked.takes(f))
        without = tuple(term for term in tree.terms if not has_key(term, "is"))
        states = {
            state: len(self.search(AllOf(terms=(*without, Condition(key="is", values=(Words(text=state),))))))
            for state in STATES
        }
        return Facets(
            total=len(self.search(tree)),
            labels=as_counts(labels),
            types=as_counts(types),
            years=tuple(FacetCount(value=y, count=n) for y, n in sorted(years.items(), reverse=True) if y),
            states=as_counts(states),
        )

    def facts(self, entry: Entry) -> Iterator[Fact]:
        if entry.error is not None:
            return
        for word in sorted({*entry.scores, *entry.decisions}, key=str.casefold):
            verdict, score = entry.decisions.get(word), entry.scores.get(word, 0.0)
            if verdict == "rejected":
                yield Fact(word=word, score=score, state="rejected")
            elif verdict is not None:
                yield Fact(word=word, score=1.0, state="confirmed")
            elif score > 0:
                yield Fact(word=word, score=score, state="unreviewed")

    def rate(self, entry: Entry, term: Term, asked: Asked) -> Rating | None:  # noqa: PLR0911 - one per kind
        """How well the file matches, None if it doesn't."""
        match term:
            case Not():
                return Rating() if self.rate(entry, term.term, asked) is None else None
            case AllOf():
                asked = narrow(asked, term.terms)
                has_label = any(map(names_label, term.terms))
                parts = [t for t in term.terms if not (has_label and about_labels(t))]
                ratings = [self.rate(entry, part, asked) for part in parts]
                known = [rating for rating in ratings if rating is not None]
                if len(known) < len(ratings):
                    return None
                return Rating(
                    score=min((r.score for r in known if r.score is not None), default=None),
                    rank=sum(r.rank for r in known),
                )
            case AnyOf():
                return best(*(self.rate(entry, part, asked) for part in term.terms))
            case Words():
                return self.rate_words(entry, term, asked)
            case Score():
                scores = [fact.score for fact in self.facts(entry) if fact.state != "rejected"]
                top = max(scores, default=None)
                is_in = top is not None and Asked(bounds=(term,)).holds(top)
                return Rating(score=top, rank=top or 0.0) if is_in else None
            case Condition():
                return self.rate_condition(entry, term, asked)

    def rate_words(self, entry: Entry, words: Words, asked: Asked) -> Rating | None:
        exact = self.rate_terms(entry, words, asked, whole=True, bonus=1.0)
        part = self.rate_terms(entry, words, asked, whole=False, bonus=0.0)
        found = best(exact, part)
        if found is not None and exact is not None:
            found = replace(found, score=exact.score)
        if asked.takes_certain:
            found = best(found, self.rate_keywords(entry, words))
        if asked == Asked():
            found = best(found, Rating() if contains(entry.path[1:], words) else None)
        return found

    def rate_terms(
        self, entry: Entry, words: Words, asked: Asked, *, whole: bool, bonus: float
    ) -> Rating | None:
        facts = [f for f in self.facts(entry) if any(contains(n, words, whole=whole) for n in f.names)]
        return best(
            *(
                Rating(score=f.score, rank=CERTAIN if f.state == "confirmed" else f.score + bonus)
                for f in facts
                if asked.takes(f)
            )
        )

    def rate_keywords(self, entry: Entry, words: Words) -> Rating | None:
        rejected = [w.lower() for w, verdict in entry.decisions.items() if verdict == "rejected"]
        lines = [word for word in entry.keywords if entry.error is not None or word.lower() not in rejected]
        for fact in self.facts(entry):
            if fact.state == "confirmed":
                lines += fact.names
        if not (words.is_quoted or words.is_prefix):
            lines = [" ".join(dict.fromkeys(lines))]  # FTS5 finds phrases across lines
        return Rating(score=1.0, rank=CERTAIN) if any(contains(line, words) for line in lines) else None

    def rate_condition(self, entry: Entry, term: Condition, asked: Asked) -> Rating | None:
        if term.key == "label":
            return best(*(self.rate_label(entry, words, asked) for words in term.values))
        if term.key == "keyword":
            return best(*(self.rate_keywords(entry, words) for words in term.values))
        values = [value.text for value in term.values]
        day = (entry.taken or "")[:10]
        tests: dict[str, Callable[[str], bool]] = {
            "type": lambda value: entry.type == value,
            "is": lambda value: value in self.review(entry),
            "after": lambda value: day >= value,
            "before": lambda value: bool(day) and day < value,
            "date": lambda value: bool(day) and day.startswith(value),
            "in": lambda value: lies_in(entry.path, value),
        }
        return Rating() if any(map(tests[term.key], values)) else None

    def rate_label(self, entry: Entry, words: Words, asked: Asked) -> Rating | None:
        named = any(contains(n, words, whole=True) for w in self.words for n in (w, *SYNONYMS.get(w, ())))
        return self.rate_terms(entry, words, asked, whole=named, bonus=1.0)

    def review(self, entry: Entry) -> set[str]:
        if entry.error is not None:
            return set()
        states = {fact.state for fact in self.facts(entry)} - {"unreviewed"}
        return states or {"unreviewed"}


def best(*ratings: Rating | None) -> Rating | None:
    known = [rating for rating in ratings if rating is not None]
    if not known:
        return None
    return Rating(
        score=max((r.score for r in known if r.score is not None), default=None),
        rank=max(r.rank for r in known),
    )


def lies_in(path: str, folder: str) -> bool:
    inside = path.lower().rpartition("/")[0] + "/"
    wanted = folder.lower().strip("/")
    if folder.endswith("*"):
        wanted = wanted[:-1]
        return inside.startswith(f"/{wanted}") if folder.startswith("/") else f"/{wanted}" in inside[:-1]
    return inside.startswith(f"/{wanted}/") if folder.startswith("/") else f"/{wanted}/" in inside


def names_label(term: Term) -> bool:
    if isinstance(term, (AllOf, AnyOf)):
        return any(map(names_label, term.terms))
    if isinstance(term, Not):
        return names_label(term.term)
    return isinstance(term, Words) or has_key(term, "label")


def about_labels(term: Term) -> bool:
    return isinstance(term, Score) or has_key(term.term if isinstance(term, Not) else term, "is")


def narrow(asked: Asked, terms: Sequence[Term]) -> Asked:
    for term in filter(about_labels, terms):
        if isinstance(term, Score):
            asked = replace(asked, bounds=(*asked.bounds, term))
            continue
        condition = term.term if isinstance(term, Not) else term
        assert isinstance(condition, Condition)
        states = frozenset(value.text for value in condition.values)
        if isinstance(term, Not):
            states = frozenset(("confirmed", "unreviewed")) - states
        asked = replace(asked, states=states if asked.states is None else asked.states & states)
    return asked


def has_key(term: Term, key: str) -> bool:
    return isinstance(term, Condition) and term.key == key


def as_counts(counts: dict[str, int] | Counter[str]) -> tuple[FacetCount, ...]:
    return tuple(FacetCount(value=value, count=n) for value, n in sorted(counts.items()) if n)
