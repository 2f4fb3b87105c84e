"""Counts beside the values that a query can be narrowed or widened by: labels, types, years, review states.

Values of one facet are combined with OR, and facets with AND. The counts of a facet are therefore those of
the query without that facet's own top-level conditions: with ``type:png after:2024``, the counts of the types
are those of ``after:2024``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pictag.gallery.columns import Columns
from pictag.gallery.query import STATES, AllOf, Condition, Words, parse
from pictag.gallery.search import use_similar
from pictag.gallery.selection import Scope, Selector, is_about_labels, list_parts, narrow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pictag.gallery.query import Term
    from pictag.gallery.selection import FindSimilar


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetCount:
    """A value, and how many files the query selects with it. ``kind`` is that of a label."""

    value: str
    count: int
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """The counts of a query, the most frequent values first (years: the newest); 0 is left out.

    ``total`` is the number of files that the query selects.
    """

    total: int
    labels: tuple[FacetCount, ...]
    types: tuple[FacetCount, ...]
    years: tuple[FacetCount, ...]
    states: tuple[FacetCount, ...]


def count_facets(
    connection: sqlite3.Connection,
    query: str = "",
    *,
    columns: Columns | None = None,
    find_similar: FindSimilar | None = None,
) -> Facets:
    """The counts of a query; the arguments are those of `pictag.gallery.search.search`."""
    terms = parse(query).terms
    columns = columns or Columns(connection)
    columns.refresh()
    selector = Selector(columns, find_similar or use_similar(connection), is_rating=False)
    scope = narrow(Scope(), terms)
    parts = {
        part: selector.select(part, scope)
        for part in dict.fromkeys((*list_parts(terms), *_list_others(terms)))
    }
    selected = selector.combine([parts[part] for part in list_parts(terms)]).mask

    def without(key: str) -> NDArray[np.bool_]:
        return selector.combine([parts[part] for part in list_parts(terms) if not _has_key(part, key)]).mask

    years = np.bincount(columns.days[without("date")] // 10_000)
    types = np.bincount(columns.types[without("type")], minlength=len(columns.type_names))
    return Facets(
        total=int(selected.sum()),
        labels=_count_labels(
            selector, selector.combine([parts[part] for part in _list_others(terms)]).mask, scope
        ),
        types=_sort(
            FacetCount(value=name, count=int(n)) for name, n in zip(columns.type_names, types, strict=True)
        ),
        years=tuple(
            FacetCount(value=f"{year:04}", count=int(years[year]))
            for year in range(len(years) - 1, 0, -1)
            if years[year]
        ),
        states=_sort(_count_state(selector, terms, state) for state in STATES),
    )


def _count_labels(selector: Selector, mask: NDArray[np.bool_], scope: Scope) -> tuple[FacetCount, ...]:
    columns = selector.columns
    files = np.bincount(columns.contents[mask], minlength=len(columns.content_ids))
    return _sort(
        FacetCount(
            value=term.word,
            kind=term.kind,
            count=sum(int(files[places].sum()) for places, _ in selector.find_contents(term, scope)),
        )
        for term in columns.terms
    )


def _count_state(selector: Selector, terms: Sequence[Term], state: str) -> FacetCount:
    others = tuple(term for term in terms if not _has_key(term, "is"))
    wanted = AllOf(terms=(*others, Condition(key="is", values=(Words(text=state),))))
    return FacetCount(value=state, count=int(selector.select(wanted).mask.sum()))


def _list_others(terms: Sequence[Term]) -> list[Term]:
    """The terms without those that labels are chosen by."""
    return [term for term in terms if not is_about_labels(term) and not _has_key(term, "label")]


def _has_key(term: Term, key: str) -> bool:
    return isinstance(term, Condition) and term.key == key


def _sort(counts: Iterable[FacetCount]) -> tuple[FacetCount, ...]:
    """The most frequent first; those with equal counts stay in their order."""
    return tuple(sorted((entry for entry in counts if entry.count), key=lambda entry: -entry.count))
