"""Fit the temperature of a model: the number by which logits are divided to calibrate the scores.

After C. Guo et al., "On calibration of modern neural networks", 2017. The order of labels doesn't change.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pictag.evaluation.metrics import Bools, Floats, Ints

LOWEST, HIGHEST = 0.02, 50.0
_STEPS = 60
_ROWS = 4096  # at a time, to limit memory
_TINY = float(np.finfo(np.float32).tiny)


def to_logits(scores: NDArray[np.floating], *, exclusive: bool) -> Floats:
    """Logits with these scores [N, L]: log p for a softmax, log p − log(1 − p) for sigmoids.

    >>> to_logits(np.array([[0.5, 0.5]]), exclusive=False).tolist()
    [[0.0, 0.0]]
    """
    values = scores.astype(np.float64)
    logits = np.log(np.maximum(values, _TINY))
    return logits if exclusive else logits - np.log(np.maximum(1 - values, _TINY))


def apply_temperature(
    scores: NDArray[np.floating], temperature: float, *, exclusive: bool
) -> NDArray[np.float32]:
    """The scores [N, L] after the logits are divided by the temperature.

    >>> apply_temperature(np.array([[0.8, 0.2]]), 2.0, exclusive=True).round(3).tolist()
    [[0.6669999957084656, 0.3330000042915344]]
    """
    parts = [np.empty((0, scores.shape[1]), np.float32)]
    for start in range(0, len(scores), _ROWS):
        logits = to_logits(scores[start : start + _ROWS], exclusive=exclusive) / temperature
        scored = _softmax(logits) if exclusive else _sigmoid(logits)
        parts.append(scored.astype(np.float32))
    return np.concatenate(parts)


def fit_temperature(logits: NDArray[np.floating], truth: Ints | Bools) -> float:
    """The temperature with the smallest log loss, from logits [N, L].

    ``truth`` are indices [N] for a softmax, or booleans [N, L] for the sigmoids of a multi-label model. The
    temperature is limited to 0.02…50: if all images are right, the loss has no minimum.

    >>> confident = np.array([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
    >>> round(fit_temperature(confident, np.array([0, 1, 1, 1])), 3)
    3.641
    """
    exclusive = truth.ndim == 1

    def derivatives(beta: float) -> tuple[float, float]:
        slope = curvature = 0.0
        for start in range(0, len(logits), _ROWS):
            values = logits[start : start + _ROWS].astype(np.float64)
            actual = truth[start : start + _ROWS]
            if exclusive:
                shares = _softmax(values * beta)
                mean = (shares * values).sum(axis=1)
                slope += float((mean - values[np.arange(len(values)), actual]).sum())
                curvature += float((shares * (values - mean[:, None]) ** 2).sum())
            else:
                shares = _sigmoid(values * beta)
                slope += float((values * (shares - actual)).sum())
                curvature += float((values**2 * shares * (1 - shares)).sum())
        return slope, curvature

    return 1 / _find_root(derivatives)


def _find_root(derivatives: Callable[[float], tuple[float, float]]) -> float:
    """Where the slope of a convex function of 1 / temperature is 0: Newton's method within a bracket."""
    low, high = 1 / HIGHEST, 1 / LOWEST
    beta = 1.0
    for _ in range(_STEPS):
        slope, curvature = derivatives(beta)
        low, high = (beta, high) if slope < 0 else (low, beta)
        step = beta - slope / curvature if curvature > 0 else np.inf
        following = step if low < step < high else (low + high) / 2
        if abs(following - beta) <= 1e-10 * beta:
            return following
        beta = following
    return beta


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _sigmoid(logits: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -logits))
