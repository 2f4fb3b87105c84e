"""Fits a new last layer on embeddings: logistic regression, judged by repeated cross-validation.

Embeddings of length 1 are centred and standardised, so that the same penalties suit every base; both become
part of the weights. One label per image is a softmax; several are one sigmoid per label. scikit-learn fits
the weights (extra ``teach``).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import InvalidData, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

try:
    from scipy.optimize import minimize_scalar
    from scipy.special import expit, log_expit, log_softmax, softmax
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as missing:
    raise MissingExtra("Teaching needs the package scikit-learn: pip install 'pictag[teach]'") from missing

INVERSE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""The values of scikit-learn's ``C`` that are tried."""
MOST_FOLDS = 5
_MANY_IMAGES = 500  # with more, an estimate hardly depends on the division into folds
_TRIES = 20
_COPIES_ONLY = (
    "The images can't be divided for cross-validation: all images of a label are near copies of each other "
    "or of another label's images. Add different images."
)
_MIN_VARIANCE = 1e-12
# Of 10, 50, 200 and only a common deviation, this had the lowest log loss on new images, or nearly so: ants
# and bees (5, 20 and 50 of each), PneumoniaMNIST and ten classes of Tiny ImageNet, with efficientnet-lite0.
_COMMON_WEIGHT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The new last layer: logits = embedding of length 1 [D] @ ``weights`` [D, L] + ``bias`` [L]."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def apply(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits [N, L] of points [N, D]."""
        result: NDArray[np.float64] = points @ self.weights + self.bias
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted layer and its cross-validation.

    ``head`` gives calibrated logits: they are divided by the ``temperature`` already. ``inverse_penalty`` is
    scikit-learn's ``C``. ``held_out`` are the probabilities [R, N, L] that each of R rounds of
    cross-validation gave an image when it was left out of the training, with the same temperature.
    """

    head: Head
    inverse_penalty: float
    temperature: float
    folds: int
    held_out: NDArray[np.float64]


def fit(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    is_multi_label: bool,
    on_progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit a layer on embeddings of length 1 [N, D] and their labels [N, L].

    Images of the same group are never on both sides of a division into folds. ``on_progress`` is called
    with the folds that are done and their total number. Raises `InvalidData` if the groups don't allow two
    folds.
    """
    deviations = measure_deviations(embeddings)
    points = embeddings / deviations
    basis = None
    if len(points) < points.shape[1]:
        # The weights are a combination of the images, so N coordinates are enough: the same result, faster.
        basis, triangle = np.linalg.qr(points.T)
        points = triangle.T
    folds = count_folds(targets, groups)
    rounds = 3 if len(points) < _MANY_IMAGES else 2
    logits = np.empty((len(INVERSE_PENALTIES), rounds, *targets.shape), np.float32)
    for number in range(rounds):
        division = divide(targets, groups, folds=folds, seed=number)
        for fold, (train, test) in enumerate(division):
            if on_progress is not None:
                on_progress(number * folds + fold, rounds * folds)
            for index, head in enumerate(
                fit_path(points[train], targets[train], is_multi_label=is_multi_label)
            ):
                logits[index, number, test] = head.apply(points[test])
    temperatures, losses = zip(
        *(fit_temperature(found, targets, is_multi_label=is_multi_label) for found in logits), strict=True
    )
    best = losses.index(min(losses))
    temperature = temperatures[best]
    heads = fit_path(points, targets, is_multi_label=is_multi_label)
    head = next(head for index, head in enumerate(heads) if index == best)
    weights = head.weights if basis is None else basis @ head.weights
    return Fitted(
        head=Head(weights=weights / deviations[:, None] / temperature, bias=head.bias / temperature),
        inverse_penalty=INVERSE_PENALTIES[best],
        temperature=temperature,
        folds=folds,
        held_out=activate(logits[best] / temperature, is_multi_label=is_multi_label),
    )


def measure_deviations(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """The standard deviation of each feature [D]; with few images, shrunk towards the mean of all features.

    Few images give a poor estimate for a single feature. The weight of a feature's own variance is n / (n +
    200).
    """
    variances = embeddings.astype(np.float64).var(axis=0)
    mean = max(float(variances.mean()), _MIN_VARIANCE)
    weight = len(embeddings) / (len(embeddings) + _COMMON_WEIGHT)
    result: NDArray[np.float64] = np.sqrt(weight * variances + (1 - weight) * mean)
    return result


def activate(logits: NDArray[Any], *, is_multi_label: bool) -> NDArray[np.float64]:
    """Probabilities of logits [..., L]: one softmax, or a sigmoid per label."""
    values = np.asarray(logits, np.float64)
    result: NDArray[np.float64] = expit(values) if is_multi_label else softmax(values, axis=-1)
    return result


def count_folds(targets: NDArray[np.bool_], groups: NDArray[np.int64]) -> int:
    """The number of folds, 2 to `MOST_FOLDS`: at most the number of groups of each label.

    Raises `InvalidData` if a label has only one.
    """
    folds = min(MOST_FOLDS, *(len(np.unique(groups[column])) for column in targets.T))
    if folds < 2:
        raise InvalidData(_COPIES_ONLY)
    return folds


def divide(
    targets: NDArray[np.bool_], groups: NDArray[np.int64], *, folds: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Training and test images of each fold; each training part has examples and counterexamples of each
    label.

    An image with several labels counts as its rarest one. Raises `InvalidData` if there is no such division.
    """
    rarity = np.where(targets, targets.sum(axis=0), len(targets) + 1)
    strata = np.where(targets.any(axis=1), rarity.argmin(axis=1), targets.shape[1])
    for attempt in range(_TRIES):
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed + 1000 * attempt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about strata with fewer images than folds
            division = list(splitter.split(targets, strata, groups))
        if all(
            len(test) and targets[train].any(axis=0).all() and not targets[train].all(axis=0).any()
            for train, test in division
        ):
            yield from division
            return
    raise InvalidData(_COPIES_ONLY)


def fit_path(
    points: NDArray[np.float64], targets: NDArray[np.bool_], *, is_multi_label: bool
) -> Iterator[Head]:
    """A layer for each of `INVERSE_PENALTIES`, each fitted from the one before."""
    centre = points.mean(axis=0)
    points = points - centre
    columns = targets.T if is_multi_label else [targets.argmax(axis=1)]
    models = [LogisticRegression(tol=1e-3, max_iter=1000, warm_start=True) for _ in columns]
    for penalty in INVERSE_PENALTIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the result is measured on held-out images
            for model, column in zip(models, columns, strict=True):
                model.set_params(C=penalty).fit(points, column)
        weights = np.concatenate([model.coef_ for model in models]).T
        bias = np.concatenate([model.intercept_ for model in models])
        if not is_multi_label and weights.shape[1] == 1:  # of two labels, scikit-learn scores the second
            weights, bias = np.hstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
        yield Head(weights=weights, bias=bias - centre @ weights)


def fit_temperature(
    logits: NDArray[Any], targets: NDArray[np.bool_], *, is_multi_label: bool
) -> tuple[float, float]:
    """The temperature for logits [R, N, L] of held-out images, and the mean loss with it.

    It minimizes the negative log-likelihood of targets that aren't quite certain: 1 - 1/(n + 2) and the rest
    for the other labels (Platt 1999), so that a few images without a mistake don't make it 0.
    """
    values = np.asarray(logits, np.float64)
    doubt = 1 / (len(targets) + 2)
    labels = targets.shape[1]
    if is_multi_label:
        wanted = np.where(targets, 1 - doubt, doubt)
    else:
        wanted = np.where(targets, 1 - doubt, doubt / (labels - 1))

    def measure_loss(log_temperature: float) -> float:
        scaled = values / np.exp(log_temperature)
        if is_multi_label:
            losses = wanted * log_expit(scaled) + (1 - wanted) * log_expit(-scaled)
        else:
            losses = wanted * log_softmax(scaled, axis=-1)
        return float(-losses.sum(axis=-1).mean())

    found = minimize_scalar(measure_loss, bounds=(-6, 6), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
