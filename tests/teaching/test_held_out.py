"""The figures of cross-validation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pictag.evaluation.metrics_file import to_json
from pictag.teaching.fit import Fitted, Head
from pictag.teaching.held_out import CrossValidation, measure_auc, summarize

SCORES = np.array([[[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.6, 0.4]]])
TARGETS = np.array([0, 0, 0, 1, 1])[:, None] == np.arange(2)


def make_summary(scores: NDArray[np.float64], groups: list[int], **more: bool) -> CrossValidation:
    head = Head(weights=np.zeros((1, 2)), bias=np.zeros(2))
    fitted = Fitted(head=head, inverse_penalty=1.0, temperature=1.0, folds=2, held_out=scores)
    names = [f"{index}.jpg" for index in range(len(groups))]
    return summarize(
        fitted,
        TARGETS,
        np.array(groups),
        labels=("ant", "bee"),
        names=names,
        is_multi_label=more.get("is_multi_label", False),
    )


@given(
    scores=arrays(np.float64, 20, elements=st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0])),
    truth=arrays(np.bool_, 20).filter(lambda values: 0 < values.sum() < 20),
)
def test_the_area_is_that_of_scikit_learn(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> None:
    assert measure_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)


def test_accuracy_confusions_and_worst_images() -> None:
    found = make_summary(SCORES, [0, 1, 2, 3, 4])
    assert found.figure.value == pytest.approx(3 / 5)
    assert found.chance == pytest.approx(3 / 5)
    assert not found.is_better_than_chance
    assert [(c.label, c.predicted, c.images) for c in found.confusions] == [
        ("ant", "bee", 1),
        ("bee", "ant", 1),
    ]
    assert [(w.name, w.label) for w in found.worst] == [("2.jpg", "ant"), ("4.jpg", "bee")]
    ant, bee = found.labels
    assert ant.recall.value == pytest.approx(2 / 3)
    assert bee.precision.value == pytest.approx(1 / 2)
    assert (ant.images, ant.recall.n, bee.precision.n) == (3, 3, 2)


def test_rounds_are_averaged_and_dont_narrow_the_interval() -> None:
    once, twice = (
        make_summary(SCORES, [0, 1, 2, 3, 4]),
        make_summary(np.tile(SCORES, (2, 1, 1)), [0, 1, 2, 3, 4]),
    )
    assert twice.figure == once.figure
    assert twice.labels == once.labels
    assert twice.confusions == once.confusions


def test_near_copies_count_once_in_the_interval() -> None:
    apart, together = make_summary(SCORES, [0, 1, 2, 3, 4]), make_summary(SCORES, [0, 0, 0, 3, 3])
    assert (apart.figure.n, together.figure.n) == (5, 2)
    assert together.figure.low < apart.figure.low


def test_several_labels_are_judged_by_the_area_under_their_curves() -> None:
    found = make_summary(SCORES, [0, 1, 2, 3, 4], is_multi_label=True)
    assert found.figure.value == pytest.approx(5 / 6)
    assert found.chance == 0.5
    assert found.confusions == ()
    perfect = make_summary(np.where(TARGETS, 0.9, 0.1)[None], [0, 1, 2, 3, 4], is_multi_label=True)
    assert perfect.figure.value == 1
    assert perfect.figure.low < 0.95  # five images don't prove it


def test_json_has_no_nan() -> None:
    nothing = make_summary(np.tile([1.0, 0.0], (1, 5, 1)), [0, 1, 2, 3, 4])
    content = json.loads(json.dumps(to_json(nothing), allow_nan=False))
    assert content["labels"][1]["precision"]["value"] is None
    assert content["figure"]["n"] == 5
