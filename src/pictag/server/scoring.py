"""How a client wants its labels: how many, with which scoring function, above which score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pictag.errors import shorten, suggest
from pictag.options import ScoringOptions, check_count
from pictag.server.http_errors import BadRequest
from pictag.server.settings import MAX_TOP_K

PARAMETERS = ("top_k", "function_to_apply", "min_score")


def read_scoring(
    parameters: Mapping[str, Any], query: Mapping[str, str], *, default_top_k: int
) -> ScoringOptions:
    """The options in a request's JSON ``parameters``, which take precedence over its query.

    Raises `BadRequest` for unknown names, and `OptionError` for invalid values.

    >>> read_scoring({}, {"top_k": "3"}, default_top_k=5).top_k
    3
    """
    check_names(parameters, PARAMETERS, what="parameter")
    check_names(query, PARAMETERS, what="query parameter")
    asked = {name: _read_number(name, text) for name, text in query.items()}
    asked.update((name, value) for name, value in parameters.items() if value is not None)
    asked["top_k"] = check_count("top_k", asked.get("top_k", default_top_k), at_most=MAX_TOP_K)
    return ScoringOptions(**asked)


def check_names(given: Mapping[str, Any], known: Sequence[str], *, what: str) -> None:
    """Raise `BadRequest` for a name that isn't known, suggesting the nearest one."""
    for name in given:
        if name not in known:
            hint = suggest(name, known) or f" Known: {', '.join(known)}."
            raise BadRequest(f"There is no {what} {shorten(repr(name))}.{hint}")


def _read_number(name: str, text: str) -> Any:
    """A query parameter as a number if it is one; otherwise the text, which the caller rejects."""
    try:
        if name == "top_k" and text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= 32:
            return int(text)
        if name == "min_score" and "_" not in text:
            return float(text)
    except ValueError:
        pass
    return text
