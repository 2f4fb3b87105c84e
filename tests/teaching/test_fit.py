"""Fitting the last layer on embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from pictag.errors import InvalidData
from pictag.similarity import normalize
from pictag.teaching.fit import (
    Fitted,
    activate,
    count_folds,
    divide,
    fit,
    fit_temperature,
    measure_deviations,
)

Data = tuple[NDArray[np.float32], NDArray[np.bool_]]


def make_data(images: int, labels: int, *, dimensions: int = 32, spread: float = 1.0, seed: int = 0) -> Data:
    """Embeddings around a centre for each label."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(labels, dimensions))
    truth = np.arange(images) % labels
    points = centres[truth] + spread * generator.normal(size=(images, dimensions))
    return normalize(points), truth[:, None] == np.arange(labels)


def measure_accuracy(fitted: Fitted, targets: NDArray[np.bool_]) -> float:
    return float((fitted.held_out.argmax(axis=-1) == targets.argmax(axis=1)).mean())


@pytest.mark.parametrize("images", [24, 80])  # fewer and more than there are dimensions
@pytest.mark.parametrize("labels", [2, 3])
def test_the_layer_is_that_of_scikit_learn(images: int, labels: int) -> None:
    embeddings, targets = make_data(images, labels)
    fitted = fit(embeddings, targets, np.arange(images), is_multi_label=False)
    points = embeddings.astype(np.float64)
    standard = (points - points.mean(axis=0)) / measure_deviations(embeddings)
    model = LogisticRegression(C=fitted.inverse_penalty, tol=1e-8, max_iter=10_000)
    model.fit(standard, targets.argmax(axis=1))
    expected = model.predict_proba(standard)
    found = activate(fitted.head.apply(points) * fitted.temperature, is_multi_label=False)
    assert np.allclose(found, expected, atol=0.01)


def test_deviations_are_those_of_the_features_if_there_are_many_images() -> None:
    spread = np.array([0.5, 1.0, 3.0])
    values = (np.random.default_rng(0).normal(size=(20_000, 3)) * spread).astype(np.float32)
    assert np.allclose(measure_deviations(values), spread, rtol=0.25)
    few = measure_deviations(values[:5])
    assert few.max() / few.min() < 1.2
    assert (measure_deviations(np.ones((5, 3), np.float32)) > 0).all()


def test_several_labels_are_separate_regressions() -> None:
    embeddings, targets = make_data(90, 3, spread=0.5)
    targets[::9, 0] = True  # some images have two labels
    fitted = fit(embeddings, targets, np.arange(90), is_multi_label=True)
    scores = activate(fitted.head.apply(embeddings.astype(np.float64)), is_multi_label=True)
    assert (scores.sum(axis=1) > 1).any()
    assert ((scores >= 0.5) == targets).mean() > 0.9


def test_copies_of_images_with_random_labels_dont_raise_the_accuracy() -> None:
    generator = np.random.default_rng(3)
    originals = generator.normal(size=(60, 64))
    truth = generator.integers(2, size=60)
    embeddings = normalize(np.repeat(originals, 5, axis=0) + 0.05 * generator.normal(size=(300, 64)))
    targets = np.repeat(truth, 5)[:, None] == np.arange(2)
    together = fit(embeddings, targets, np.repeat(np.arange(60), 5), is_multi_label=False)
    apart = fit(embeddings, targets, np.arange(300), is_multi_label=False)
    assert measure_accuracy(apart, targets) > 0.95  # what the groups prevent
    assert measure_accuracy(together, targets) < 0.65


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), labels=st.integers(2, 4), size=st.integers(1, 3))
def test_near_copies_are_never_on_both_sides(seed: int, labels: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(8 * labels), size)
    targets = (groups % labels)[:, None] == np.arange(labels)
    order = generator.permutation(len(groups))
    groups, targets = groups[order], targets[order]
    tested = np.zeros(len(groups), np.int64)
    for train, test in divide(targets, groups, folds=count_folds(targets, groups), seed=seed):
        assert set(groups[train]).isdisjoint(groups[test])
        assert targets[train].any(axis=0).all()
        tested[test] += 1
    assert (tested == 1).all()


def test_a_label_whose_images_are_all_copies_cant_be_judged() -> None:
    targets = np.repeat(np.eye(2, dtype=bool), 6, axis=0)
    groups = np.array([0] * 6 + [1, 2, 3, 4, 5, 6])
    with pytest.raises(InvalidData, match="near copies"):
        count_folds(targets, groups)


def test_the_temperature_makes_scores_mean_what_they_say() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 3))
    shares = activate(logits, is_multi_label=False)
    truth = (generator.random((4000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    targets = truth[:, None] == np.arange(3)
    temperature, _ = fit_temperature(5 * logits[None], targets, is_multi_label=False)
    assert temperature == pytest.approx(5, rel=0.1)


def test_a_few_images_without_a_mistake_dont_make_it_certain() -> None:
    targets = np.repeat(np.eye(2, dtype=bool), 5, axis=0)
    logits = np.where(targets, 3.0, 0.0)[None]
    temperature, _ = fit_temperature(logits, targets, is_multi_label=False)
    assert activate(logits / temperature, is_multi_label=False).max() == pytest.approx(11 / 12, abs=1e-3)
