"""From a caller's inputs to sources, and from outcomes to the caller's results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from pictag.errors import OptionError, PictagError, UnsupportedInput, shorten
from pictag.images import Failed, Source, make_source
from pictag.postprocess import activate, choose_activation, make_floor, pick_labels
from pictag.records import Failure, Label, Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pictag.execution import Outcome
    from pictag.models.load import Model
    from pictag.options import Activation, ScoringOptions


class LabelScore(TypedDict):
    """One label and its score."""

    label: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Turns outcomes into labels and predictions, by one call's options."""

    labels: tuple[str, ...]
    activation: Activation
    temperature: float
    floor: float | NDArray[np.float32]
    top_k: int | None
    all_scores: bool

    def pick(self, outcome: Outcome) -> tuple[Label, ...]:
        """The labels of one image, best first. Raises the image's error."""
        return self.choose(self.score(outcome))

    def choose(self, scores: NDArray[np.float32]) -> tuple[Label, ...]:
        """The labels for the scores of all labels [L], best first."""
        return pick_labels(scores, self.labels, top_k=self.top_k, floor=self.floor)

    def score(self, outcome: Outcome) -> NDArray[np.float32]:
        """The scores of all labels [L] for one image. Raises the image's error."""
        if outcome.error is not None:
            raise outcome.error
        assert outcome.logits is not None
        with np.errstate(all="ignore"):  # an underflow to 0 is right, even if the caller made it an error
            logits = outcome.logits
            if self.temperature != 1:
                logits = logits / np.float32(self.temperature)
            scores = activate(logits, self.activation)
            return np.asarray(scores[0] if len(scores) == 1 else scores.mean(axis=0))

    def predict(self, outcome: Outcome) -> Prediction:
        """The prediction of one image, or its failure."""
        error = outcome.error
        if error is None:
            try:
                scores = self.score(outcome)
                labels = self.choose(scores)
            except PictagError as reason:  # scores that are not numbers
                error = reason
        if error is not None:
            failure = Failure(kind=type(error).__name__, message=str(error))
            return Prediction(source=outcome.source, error=failure)
        embedding = None if outcome.embedding is None else outcome.embedding.mean(axis=0)
        return Prediction(
            source=outcome.source,
            labels=labels,
            embedding=embedding,
            observed=outcome.observed,
            scores=scores if self.all_scores else None,
        )


def make_scorer(model: Model, options: ScoringOptions) -> Scorer:
    """The scorer of a call; raises `OptionError` for an activation or a minimum that can't be meant."""
    activation = choose_model_activation(model, options)
    knowledge = model.card.knowledge
    if gives_probabilities(model, options):
        check_minimum("min_score", options.min_score)
        for label, threshold in knowledge.thresholds.items():
            check_minimum(
                f"{knowledge.sources['thresholds']}: the threshold of {shorten(label, 60)!r}", threshold
            )
    return Scorer(
        labels=model.labels,
        activation=activation,
        temperature=1.0 if activation == "none" else knowledge.temperature,
        floor=make_floor(options.min_score, model.labels, knowledge.thresholds),
        top_k=options.top_k,
        all_scores=options.all_scores,
    )


def gives_probabilities(model: Model, options: ScoringOptions) -> bool:
    """Whether the scores are in 0…1."""
    return model.outputs == "probabilities" or choose_model_activation(model, options) != "none"


def are_exclusive(model: Model, options: ScoringOptions) -> bool:
    """Whether the labels exclude each other, so that probabilities of several may be summed.

    Raises `OptionError` for a model whose scores are not probabilities.
    """
    activation = choose_model_activation(model, options)
    if activation == "none" and (model.outputs != "probabilities" or model.problem_type == "regression"):
        raise OptionError(
            "This needs probabilities, but this model's scores are raw numbers. Use another model."
        )
    return activation == "softmax" or (
        activation == "none" and model.problem_type == "single_label_classification"
    )


def choose_model_activation(model: Model, options: ScoringOptions) -> Activation:
    """The function that turns the model's outputs into the scores of a call. Raises `OptionError`."""
    assert model.outputs is not None  # settled when its first session was opened
    return choose_activation(
        options.function_to_apply,
        problem_type=model.problem_type,
        label_count=len(model.labels),
        outputs=model.outputs,
    )


def check_minimum(name: str, minimum: float) -> None:
    """Raise `OptionError` for a minimum that no probability reaches."""
    if minimum > 1:
        raise OptionError(
            f"{name} is {minimum:g}, but the scores of this model are probabilities from 0 to 1, so no label "
            f"would reach it. Use {minimum / 100:g} for {minimum:g} %."
        )


def as_source(value: Any) -> Source | Failed:
    """The source of one input; a value of an unsupported type keeps its place as a `Failed`."""
    if isinstance(value, (Source, Failed)):
        return value
    try:
        return make_source(value)
    except UnsupportedInput as error:
        return Failed(name=f"<{type(value).__name__}>", error=error)


def make_entry(labels: tuple[Label, ...], *, as_one: bool) -> Any:
    """The labels as dicts: a list, or with ``as_one`` only the first (``None`` if there is none)."""
    if as_one:
        return {"label": labels[0].label, "score": labels[0].score} if labels else None
    return [{"label": label.label, "score": label.score} for label in labels]
