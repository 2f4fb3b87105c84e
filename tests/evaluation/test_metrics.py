"""Every metric against scikit-learn, on random and tied scores, and with classes that never occur."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from pictag.evaluation.calibration_error import (
    bin_scores,
    measure_brier,
    measure_label_brier,
    measure_label_log_loss,
    measure_log_loss,
)
from pictag.evaluation.metrics import count_classes, count_labels, list_confusions, rank_truth
from pictag.evaluation.ranking import choose_threshold, make_curve

EXACT = 1e-9


@st.composite
def single_label(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores [N, L] that sum to 1, often tied, and true indices [N]; some classes may have no images."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, labels = draw(st.integers(1, 60)), draw(st.integers(2, 9))
    steps = draw(st.sampled_from([2, 5, 1000]))
    scores = generator.integers(1, steps + 1, (n, labels)).astype(np.float64)
    return scores / scores.sum(axis=1, keepdims=True), generator.integers(0, labels, n)


@st.composite
def multi_label(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores [N, L], often tied, and truth [N, L]; some labels may have no images."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, labels = draw(st.integers(1, 60)), draw(st.integers(1, 6))
    steps = draw(st.sampled_from([2, 5, 1000]))
    truth = generator.random((n, labels)) < generator.random(labels)
    return generator.integers(0, steps + 1, (n, labels)) / steps, truth


def draw_weights(n: int) -> NDArray[np.float64]:
    """How often each image is in a bootstrap sample."""
    return np.bincount(np.random.default_rng(n).integers(n, size=n), minlength=n).astype(np.float64)


@settings(max_examples=30)
@given(single_label())
def test_top_k_accuracy_is_scikit_learns(data: tuple[NDArray[np.float64], NDArray[np.int64]]) -> None:
    scores, truth = data
    ranks, last = rank_truth(scores, truth), scores.shape[1] - 1
    assert (ranks == 0).tolist() == (scores.argmax(axis=1) == truth).tolist()
    for k in range(1, last + 1) if last > 1 else ():  # scikit-learn reads two columns as one
        # Among equal scores, scikit-learn prefers the last label and pictag the first.
        expected = reference.top_k_accuracy_score(
            last - truth, scores[:, ::-1], k=k, labels=np.arange(last + 1)
        )
        assert (ranks < k).mean() == pytest.approx(expected, abs=EXACT)


@settings(max_examples=30)
@given(single_label(), st.booleans())
def test_precision_recall_and_f1_are_scikit_learns(
    data: tuple[NDArray[np.float64], NDArray[np.int64]], weighted: bool
) -> None:
    scores, truth = data
    predicted, labels = scores.argmax(axis=1), np.arange(scores.shape[1])
    weights = draw_weights(len(truth)) if weighted else None
    counts = count_classes(truth, predicted, class_count=len(labels), weights=weights)
    for average, present in ((None, labels), ("macro", np.flatnonzero(counts.actual > 0)), ("micro", labels)):
        expected = reference.precision_recall_fscore_support(
            truth, predicted, labels=present, average=average, sample_weight=weights, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            own = getattr(counts, name) if average is None else getattr(counts, average)(name)
            np.testing.assert_allclose(np.nan_to_num(own), value, atol=EXACT, rtol=0)


@settings(max_examples=30)
@given(multi_label(), st.booleans())
def test_multi_label_counts_are_scikit_learns(
    data: tuple[NDArray[np.float64], NDArray[np.bool_]], weighted: bool
) -> None:
    scores, truth = data
    if truth.shape[1] == 1:  # which scikit-learn reads as one column of classes
        scores, truth = np.repeat(scores, 2, axis=1), np.repeat(truth, 2, axis=1)
    predicted = scores >= 0.5
    weights = draw_weights(len(truth)) if weighted else None
    counts = count_labels(truth, predicted, weights=weights)
    present = np.flatnonzero(counts.actual > 0)
    for average in (None, "macro", "micro"):
        chosen = present if average == "macro" else np.arange(truth.shape[1])
        if not len(chosen):
            continue
        expected = reference.precision_recall_fscore_support(
            truth[:, chosen], predicted[:, chosen], average=average, sample_weight=weights, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            own = getattr(counts, name) if average is None else getattr(counts, average)(name)
            if len(chosen) > 1:
                np.testing.assert_allclose(np.nan_to_num(own), value, atol=EXACT, rtol=0)


@settings(max_examples=30)
@given(single_label())
def test_confusions_are_scikit_learns(data: tuple[NDArray[np.float64], NDArray[np.int64]]) -> None:
    scores, truth = data
    predicted, count = scores.argmax(axis=1), scores.shape[1]
    matrix = reference.confusion_matrix(truth, predicted, labels=np.arange(count))
    np.fill_diagonal(matrix, 0)
    found = list_confusions(truth, predicted, class_count=count)
    assert {(a, b): n for a, b, n in found} == {
        (a, b): matrix[a, b] for a in range(count) for b in range(count) if matrix[a, b]
    }
    assert [n for _, _, n in found] == sorted((n for _, _, n in found), reverse=True)


@settings(max_examples=30)
@given(single_label())
def test_brier_score_and_log_loss_are_scikit_learns(
    data: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    scores, truth = data
    labels = np.arange(scores.shape[1])
    expected = reference.log_loss(truth, scores, labels=labels)
    assert measure_log_loss(scores, truth).mean() == pytest.approx(expected, abs=EXACT)
    expected = reference.brier_score_loss(truth, scores, labels=labels, scale_by_half=False)
    assert measure_brier(scores, truth).mean() == pytest.approx(expected, abs=EXACT)


def test_a_score_of_0_for_the_truth_has_scikit_learns_log_loss() -> None:
    scores, truth = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])
    assert measure_log_loss(scores, truth).mean() == pytest.approx(
        reference.log_loss(truth, scores), abs=EXACT
    )


@settings(max_examples=30)
@given(multi_label())
def test_losses_of_labels_are_scikit_learns(data: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    scores, truth = data
    columns = range(truth.shape[1])
    losses = [reference.log_loss(truth[:, i], scores[:, i], labels=[False, True]) for i in columns]
    assert measure_label_log_loss(scores, truth).mean() == pytest.approx(np.mean(losses), abs=EXACT)
    briers = [
        reference.brier_score_loss(truth[:, i], scores[:, i], pos_label=True, labels=[False, True])
        for i in columns
    ]
    assert measure_label_brier(scores, truth).mean() == pytest.approx(np.mean(briers), abs=EXACT)


@settings(max_examples=30)
@given(multi_label())
def test_reliability_bins_are_scikit_learns(data: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    scores, truth = data[0][:, 0], data[1][:, 0]
    bins = bin_scores(scores, truth)
    filled = bins.counts > 0
    if truth.all() or not truth.any():  # scikit-learn needs both
        assert bins.counts.sum() == len(scores)
        return
    right, mean = calibration_curve(truth, scores, n_bins=15)
    np.testing.assert_allclose(bins.share_right[filled], right, atol=EXACT, rtol=0)
    np.testing.assert_allclose(bins.mean_score[filled], mean, atol=EXACT, rtol=0)
    expected = np.abs(right - mean) @ bins.counts[filled] / len(scores)
    assert bins.expected_error == pytest.approx(expected, abs=EXACT)


@settings(max_examples=30)
@given(multi_label(), st.booleans())
def test_average_precision_and_the_curve_are_scikit_learns(
    data: tuple[NDArray[np.float64], NDArray[np.bool_]], weighted: bool
) -> None:
    scores, truth = data[0][:, 0], data[1][:, 0]
    weights = draw_weights(len(truth)) if weighted else None
    curve = make_curve(scores, truth, weights)
    if not curve.positives:
        assert np.isnan(curve.average_precision)
        return
    expected = reference.average_precision_score(truth, scores, sample_weight=weights)
    assert curve.average_precision == pytest.approx(expected, abs=EXACT)
    if weights is None:
        precision, recall, thresholds = reference.precision_recall_curve(truth, scores)
        np.testing.assert_allclose(curve.precision[::-1], precision[:-1], atol=EXACT, rtol=0)
        np.testing.assert_allclose(curve.recall[::-1], recall[:-1], atol=EXACT, rtol=0)
        assert curve.thresholds[::-1].tolist() == thresholds.tolist()


@settings(max_examples=30)
@given(multi_label(), st.floats(0.05, 1))
def test_a_chosen_threshold_keeps_what_was_asked_for(
    data: tuple[NDArray[np.float64], NDArray[np.bool_]], wanted: float
) -> None:
    scores, truth = data[0][:, 0], data[1][:, 0]
    curve = make_curve(scores, truth)
    threshold = choose_threshold(curve, min_recall=wanted)
    assert (threshold is None) == (not truth.any())
    if threshold is not None:
        assert (scores[truth] >= threshold).mean() >= wanted - 1e-9
    threshold = choose_threshold(curve, min_precision=wanted)
    reached = truth.any() and bool((curve.precision >= wanted).any())
    assert (threshold is not None) == reached
    if threshold is not None:
        assert truth[scores >= threshold].mean() >= wanted
