"""The frozen values that a pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label of one image.

    ``score`` is the result of the activation: a probability in 0…1 for softmax and sigmoid, the raw logit for
    ``"none"``. It is finite: an infinite logit is ±3.4028235e38, the largest float32. ``index`` is the
    label's position in the model's output.
    """

    label: str
    score: float
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an image has no labels; ``kind`` is the name of a class in `pictag.errors`."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The result for one image: its labels, best first, or the failure.

    ``source`` is the path or URL as it was given, or a short description such as ``<bytes>``. ``embedding``
    is float32 [D] with ``pipeline(…, embeddings=True)``. ``scores`` are those of all labels, float32 [L] in
    the model's order, with ``all_scores=True``. ``observed`` is what ``observe`` returned for the decoded
    image, with ``stream(…, observe=function)``.

    >>> tiger = Prediction(source="tiger.jpg", labels=(Label(label="tiger", score=0.9, index=292),))
    >>> tiger.labels[0].label, tiger.error
    ('tiger', None)
    """

    source: str
    labels: tuple[Label, ...] = ()
    error: Failure | None = None
    embedding: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    scores: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    observed: Any = field(default=None, compare=False, repr=False)
