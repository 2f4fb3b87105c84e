"""From logits to labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pictag.errors import EngineError, OptionError
from pictag.postprocess import activate, choose_activation, pick_labels

LOGITS = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 40)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(LOGITS)
def test_softmax_rows_sum_to_one_and_keep_the_order(logits: np.ndarray) -> None:
    scores = activate(logits, "softmax")
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=-1), 1, rtol=1e-5)
    best = logits.argmax(axis=-1)
    assert (scores.max(axis=-1) == np.take_along_axis(scores, best[:, None], -1)[:, 0]).all()


@given(LOGITS)
def test_sigmoid_is_within_zero_and_one_and_symmetric(logits: np.ndarray) -> None:
    scores = activate(logits, "sigmoid")
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores + activate(-logits, "sigmoid"), 1, atol=1e-6)


def test_none_returns_the_logits() -> None:
    logits = np.array([[3.0, -2.0]], np.float32)
    assert activate(logits, "none") is logits


@given(LOGITS, st.integers(1, 50))
def test_the_best_labels_are_those_of_a_full_sort(logits: np.ndarray, top_k: int) -> None:
    # Rounding makes ties, where the lower index must come first.
    row = np.round(logits[0], -3)
    names = [f"label {i}" for i in range(len(row))]
    expected = sorted(range(len(row)), key=lambda i: (-row[i], i))[:top_k]
    labels = pick_labels(row, names, top_k=top_k, floor=-np.inf)
    assert [label.index for label in labels] == expected
    assert [label.label for label in labels] == [names[i] for i in expected]
    assert [label.score for label in labels] == [float(row[i]) for i in expected]


def test_without_top_k_all_labels_are_returned() -> None:
    labels = pick_labels(np.array([0.1, 0.7, 0.2], np.float32), "abc", top_k=None)
    assert [label.label for label in labels] == ["b", "c", "a"]


def test_labels_below_min_score_are_left_out() -> None:
    labels = pick_labels(np.array([0.1, 0.7, 0.2], np.float32), "abc", top_k=None, floor=0.2)
    assert [label.label for label in labels] == ["b", "c"]


@pytest.mark.parametrize("logits", [[np.inf, 0], [np.nan, 0], [-np.inf, -np.inf], [np.inf, np.inf]])
def test_an_overflow_is_an_error_without_a_warning(logits: list[float]) -> None:
    # Warnings are errors in these tests.
    scores = activate(np.array([logits], np.float32), "softmax")
    with pytest.raises(EngineError, match="NaN"):
        pick_labels(scores[0], "ab", top_k=1)


@pytest.mark.parametrize(
    ("problem_type", "label_count", "expected"),
    [
        ("single_label_classification", 3, "softmax"),
        ("single_label_classification", 1, "sigmoid"),
        ("multi_label_classification", 3, "sigmoid"),
        ("regression", 1, "none"),
    ],
)
def test_the_problem_type_decides_the_activation(problem_type: str, label_count: int, expected: str) -> None:
    assert choose_activation(None, problem_type=problem_type, label_count=label_count) == expected
    assert choose_activation("none", problem_type=problem_type, label_count=label_count) == "none"


def test_a_graph_that_gives_probabilities_gets_no_second_activation() -> None:
    single = {"problem_type": "single_label_classification", "label_count": 3, "outputs": "probabilities"}
    assert choose_activation(None, **single) == "none"  # type: ignore[arg-type]
    assert choose_activation("softmax", **single) == "none"  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="second activation"):
        choose_activation("sigmoid", **single)  # type: ignore[arg-type]


def test_an_unknown_activation_names_those_that_exist() -> None:
    with pytest.raises(OptionError, match="softmax, sigmoid, none"):
        choose_activation("relu", problem_type="regression", label_count=1)


def test_a_min_score_of_zero_keeps_negative_logits() -> None:
    """Like transformers: `function_to_apply="none"` returns ``top_k`` labels, whatever their sign."""
    logits = np.array([-4.5, -0.5, -2.0], np.float32)
    assert [one.label for one in pick_labels(logits, "abc", top_k=2)] == ["b", "c"]
    assert [one.label for one in pick_labels(logits, "abc", top_k=1)] == ["b"]
    assert [one.label for one in pick_labels(logits, "abc", top_k=None, floor=-3.0)] == ["b", "c"]
    assert pick_labels(logits, "abc", top_k=1, floor=0.001) == ()
