from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.evaluation.calibration_error import measure_label_log_loss, measure_log_loss
from pictag.evaluation.temperature import (
    LOWEST,
    apply_temperature,
    fit_temperature,
    to_logits,
)
from pictag.options import Activation
from pictag.postprocess import activate


def draw_logits(seed: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by this factor, and labels drawn with the probabilities of the right ones."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(4000, 6)) * 2
    shares = activate(logits.astype(np.float32), "softmax").astype(np.float64)
    truth = (shares.cumsum(axis=1) > generator.random((4000, 1)) * shares.sum(axis=1, keepdims=True)).argmax(
        axis=1
    )
    return logits * temperature, truth


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_overconfident_scores_is_found_again(temperature: float) -> None:
    logits, truth = draw_logits(1, temperature)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_independent_labels_is_found_again(temperature: float) -> None:
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(3000, 5)) * 2
    truth = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
    assert fit_temperature(logits * temperature, truth) == pytest.approx(temperature, rel=0.05)


@given(st.integers(0, 1000), st.floats(0.3, 3))
def test_no_other_temperature_has_a_smaller_loss(seed: int, other: float) -> None:
    generator = np.random.default_rng(seed)
    logits, truth = generator.normal(size=(50, 3)) * 3, generator.integers(0, 3, 50)
    best = fit_temperature(logits, truth)

    def measure(temperature: float) -> float:
        values = np.exp(logits / temperature - (logits / temperature).max(axis=1, keepdims=True))
        return float(measure_log_loss(values / values.sum(axis=1, keepdims=True), truth).mean())

    assert measure(best) <= measure(other) + 1e-9
    labels = np.eye(3, dtype=bool)[truth]
    best = fit_temperature(logits, labels)

    def measure_labels(temperature: float) -> float:
        return float(measure_label_log_loss(1 / (1 + np.exp(-logits / temperature)), labels).mean())

    assert measure_labels(best) <= measure_labels(other) + 1e-9


@pytest.mark.parametrize("exclusive", [True, False])
def test_scores_divided_by_a_temperature_are_those_of_divided_logits(exclusive: bool) -> None:
    logits = np.random.default_rng(3).normal(size=(200, 7)).astype(np.float32) * 5
    activation: Activation = "softmax" if exclusive else "sigmoid"
    scores = activate(logits, activation)
    expected = activate(logits / np.float32(1.7), activation)
    found = apply_temperature(scores, 1.7, exclusive=exclusive)
    # Close to 1, a sigmoid's float32 scores are 6e-8 apart, which are large steps of its logits.
    np.testing.assert_allclose(found, expected, atol=2e-6 if exclusive else 5e-5, rtol=0)
    np.testing.assert_array_equal(found.argmax(axis=1), logits.argmax(axis=1))


def test_images_that_are_all_right_have_the_lowest_temperature() -> None:
    logits = to_logits(np.array([[0.7, 0.3]] * 9), exclusive=True)
    assert LOWEST <= fit_temperature(logits, np.zeros(9, int)) < 2 * LOWEST
