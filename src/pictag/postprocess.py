"""From logits to labels: activation, sorting and selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pictag.errors import EngineError, OptionError, shorten
from pictag.options import ACTIVATIONS
from pictag.records import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pictag.options import Activation


MAX_SCORE = float(np.finfo(np.float32).max)


def choose_activation(
    asked: str | None, *, problem_type: str, label_count: int, outputs: str = "logits"
) -> Activation:
    """The function that turns a model's output into scores, by the same rule as transformers.

    ``asked`` takes precedence. Otherwise regression uses none, multi-label and one-label models use the
    sigmoid, all others the softmax. A graph whose ``outputs`` are ``"probabilities"`` needs no function.

    >>> choose_activation(None, problem_type="single_label_classification", label_count=1000)
    'softmax'
    """
    if asked is not None and asked not in ACTIVATIONS:
        raise OptionError(
            f"function_to_apply={shorten(repr(asked))} is not one of {', '.join(ACTIVATIONS)}. "
            "Leave it out to use the one in the model's configuration."
        )
    if outputs == "probabilities":
        if asked == "sigmoid" or (asked == "softmax" and problem_type != "single_label_classification"):
            raise OptionError(
                f"function_to_apply={asked!r} would be a second activation: this model's graph already "
                "returns probabilities. Leave it out."
            )
        return "none"
    if asked is not None:
        return asked
    if problem_type == "regression":
        return "none"
    if problem_type == "multi_label_classification" or label_count == 1:
        return "sigmoid"
    return "softmax"


def activate(logits: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Scores of shape [N, L] from logits [N, L].

    Both functions are written so that no logit overflows: the softmax is shifted by the row's largest value,
    and the sigmoid only computes exponentials of negative numbers. A logit of -inf gives 0.

    >>> activate(np.array([[0.0, 0.0]], np.float32), "softmax")
    array([[0.5, 0.5]], dtype=float32)
    """
    if activation == "none":
        return logits
    # Small exponentials underflow to 0, which is right. Half precision can overflow to infinity, whose
    # softmax is NaN; `pick_labels` reports it.
    with np.errstate(all="ignore"):
        if activation == "sigmoid":
            small = np.exp(-np.abs(logits))
            return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


def pick_labels(
    scores: NDArray[np.float32],
    names: Sequence[str],
    *,
    top_k: int | None,
    floor: float | NDArray[np.float32] = -np.inf,
) -> tuple[Label, ...]:
    """The best ``top_k`` labels of one row of scores [L], best first; equal scores in index order.

    Labels below ``floor``, one number or one per label [L], are left out. An infinite score becomes
    ±`MAX_SCORE`, because JSON has no infinity. Raises `EngineError` if a score is not a number.

    >>> pick_labels(np.array([-4.5, -0.5], np.float32), ("cat", "dog"), top_k=1)
    (Label(label='dog', score=-0.5, index=1),)
    """
    if not len(scores):
        return ()
    if np.isnan(scores[scores.argmax()]):  # argmax returns the first NaN, if there is one
        raise EngineError(
            "The model returned NaN (not a number) for this image. Weights in half precision may overflow; "
            "dtype='fp32' doesn't."
        )
    scores = scores.clip(-MAX_SCORE, MAX_SCORE)
    if not isinstance(floor, float):
        scores = np.where(scores >= floor, scores, -np.inf)
        floor = -MAX_SCORE
    if top_k == 1:
        first = int(scores.argmax())
        score = float(scores[first])
        return (Label(label=names[first], score=score, index=first),) if score >= floor else ()
    count = len(scores) if top_k is None else min(top_k, len(scores))
    if count < len(scores):
        # Only sort the candidates: the labels that reach the count-th largest score.
        threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    best = candidates[np.argsort(-scores[candidates], kind="stable")][:count]
    return tuple(
        Label(label=names[i], score=score, index=i)
        for i, score in zip(best.tolist(), scores[best].tolist(), strict=True)
        if score >= floor
    )


def make_floor(
    min_score: float, labels: Sequence[str], thresholds: Mapping[str, float]
) -> float | NDArray[np.float32]:
    """The lowest score that keeps each label: its threshold, or ``min_score`` (0 keeps all labels).

    >>> make_floor(0.5, ("cat", "dog"), {"dog": 0.25})
    array([0.5 , 0.25], dtype=float32)
    """
    floor = min_score or -np.inf
    if not thresholds:
        return floor
    return np.array([thresholds.get(label, floor) for label in labels], np.float32)
