"""How a client wants its labels: how many, with which scoring function, above which score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pictag.errors import shorten, suggest
from pictag.options import check_count, check_min_score
from pictag.postprocess import ACTIVATIONS, activate, choose_activation, pick_labels
from pictag.server.http_errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pictag import ImageClassificationPipeline
    from pictag.postprocess import Activation
    from pictag.records import Label

MAX_TOP_K = 1_000_000  # more than any model has; a top_k above the model's number of labels returns all
PARAMETERS = ("top_k", "function_to_apply", "min_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """How logits become labels; ``function_to_apply=None`` uses the model's own function."""

    top_k: int
    function_to_apply: str | None = None
    min_score: float = 0.0

    def choose(self, classifier: ImageClassificationPipeline) -> Activation:
        """The function to apply; raises `OptionError` if the model's outputs are scores already."""
        model = classifier.model
        return choose_activation(
            self.function_to_apply,
            problem_type=model.problem_type,
            label_count=len(model.labels),
            outputs=model.outputs,
        )

    def pick(self, classifier: ImageClassificationPipeline, logits: NDArray[np.float32]) -> tuple[Label, ...]:
        """The labels of one image, best first."""
        scores = activate(logits, self.choose(classifier))
        return pick_labels(scores, classifier.labels, top_k=self.top_k, min_score=self.min_score)


def read_scoring(parameters: Mapping[str, Any], query: Mapping[str, str], *, default_top_k: int) -> Scoring:
    """The scoring in a request's JSON ``parameters``, which take precedence over its query.

    Raises `BadRequest` for unknown names and functions, and `OptionError` for invalid values.

    >>> read_scoring({}, {"top_k": "3"}, default_top_k=5).top_k
    3
    """
    check_names(parameters, PARAMETERS, what="parameter")
    check_names(query, PARAMETERS, what="query parameter")
    asked = {name: _read_number(name, text) for name, text in query.items()}
    asked.update((name, value) for name, value in parameters.items() if value is not None)
    function = asked.get("function_to_apply")
    if function is not None and function not in ACTIVATIONS:
        raise BadRequest(
            f"function_to_apply={shorten(repr(function))} is not one of: {', '.join(ACTIVATIONS)}."
        )
    return Scoring(
        top_k=check_count("top_k", asked.get("top_k", default_top_k), at_most=MAX_TOP_K),
        function_to_apply=function,
        min_score=check_min_score(asked.get("min_score", 0.0)),
    )


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
