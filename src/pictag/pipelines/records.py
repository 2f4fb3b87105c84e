"""From what a caller gives to sources, and from outcomes to what the caller gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pictag.errors import PictagError, UnsupportedInput
from pictag.images import Failed, Source, make_source
from pictag.records import Failure, Label, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.stream import Outcome


def as_source(value: Any) -> Source | Failed:
    """The source of one input; what is no kind of image keeps its place as a `Failed`."""
    if isinstance(value, (Source, Failed)):
        return value
    try:
        return make_source(value)
    except UnsupportedInput as error:
        return Failed(name=f"<{type(value).__name__}>", error=error)


def make_record(outcome: Outcome, scorer: Callable[[Outcome], tuple[Label, ...]]) -> Prediction:
    """The prediction of one image, or its failure."""
    if outcome.error is not None:
        return Prediction(source=outcome.source, error=_describe_failure(outcome.error))
    try:
        return Prediction(source=outcome.source, labels=scorer(outcome))
    except PictagError as error:  # scores that are not numbers
        return Prediction(source=outcome.source, error=_describe_failure(error))


def make_entry(labels: tuple[Label, ...], *, as_one: bool) -> Any:
    """The labels as dicts: a list of them, or ``as_one`` the first alone (``None`` where there is none)."""
    entries = [{"label": label.label, "score": label.score} for label in labels]
    if as_one:
        return entries[0] if entries else None
    return entries


def _describe_failure(error: Exception) -> Failure:
    return Failure(kind=type(error).__name__, message=str(error))
