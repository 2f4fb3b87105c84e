"""What a client may ask for beside its image: how many labels, by which function, from which score on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pictag.errors import shorten, suggest
from pictag.options import check_count, check_min_score
from pictag.postprocess import ACTIVATIONS, activate, choose_activation, pick_labels
from pictag.server.refusals import BadRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pictag import ImageClassificationPipeline
    from pictag.postprocess import Activation
    from pictag.records import Label

MAX_TOP_K = 1_000_000  # more labels than any model has; above the model's number it means all of them
PARAMETERS = ("top_k", "function_to_apply", "min_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """How logits become labels; ``function_to_apply`` is ``None`` for what the model says."""

    top_k: int
    function_to_apply: str | None = None
    min_score: float = 0.0

    def choose(self, classifier: ImageClassificationPipeline) -> Activation:
        """The function that applies; raises `OptionError` where the model has had one already."""
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
    """The scoring that a request asks for in its JSON ``parameters``, or else in its query.

    Raises `BadRequest` for names that there are not, and `OptionError` for values that mean nothing.

    >>> read_scoring({}, {"top_k": "3"}, default_top_k=5).top_k
    3
    """
    refuse_unknown(parameters, PARAMETERS, what="parameter")
    refuse_unknown(query, PARAMETERS, what="query parameter")
    asked = {name: _read_number(name, text) for name, text in query.items()}
    asked.update((name, value) for name, value in parameters.items() if value is not None)
    function = asked.get("function_to_apply")
    if function is not None and function not in ACTIVATIONS:
        raise BadRequest(f"function_to_apply={shorten(repr(function))} is none of: {', '.join(ACTIVATIONS)}.")
    return Scoring(
        top_k=check_count("top_k", asked.get("top_k", default_top_k), at_most=MAX_TOP_K),
        function_to_apply=function,
        min_score=check_min_score(asked.get("min_score", 0.0)),
    )


def refuse_unknown(given: Mapping[str, Any], known: Sequence[str], *, what: str) -> None:
    """Raise `BadRequest` for a name that is not among the ``known`` ones, naming the nearest."""
    for name in given:
        if name not in known:
            hint = suggest(name, known) or f" Known: {', '.join(known)}."
            raise BadRequest(f"There is no {what} {shorten(repr(name))}.{hint}")


def _read_number(name: str, text: str) -> Any:
    """A query's text as the number that it says; as it is where it says none, for the check to refuse."""
    try:
        if name == "top_k" and text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= 32:
            return int(text)
        if name == "min_score" and "_" not in text:
            return float(text)
    except ValueError:
        pass
    return text
