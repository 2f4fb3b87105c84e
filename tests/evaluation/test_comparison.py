from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from labelledimages import draw_scored, make_data, score
from pictag.errors import InvalidData, UnreadableResults
from pictag.evaluation import measure
from pictag.evaluation.comparison import compare, measure_mcnemar
from pictag.evaluation.figures import Evaluation
from pictag.evaluation.metrics_file import SavedMetrics, encode_metrics, read_metrics

RED, GREEN = [0.75, 0.25, 0.0], [0.25, 0.75, 0.0]


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemars_test_is_the_binomial_one(right: int, wrong: int) -> None:
    expected = binomtest(right, right + wrong).pvalue if right + wrong else 1.0
    assert measure_mcnemar(right, wrong) == pytest.approx(expected, abs=1e-9)


def save(folder: Path, name: str, found: Evaluation) -> SavedMetrics:
    path = folder / f"{name}.json"
    path.write_text(encode_metrics(found))
    return read_metrics(path)


def test_images_are_compared_one_by_one(tmp_path: Path) -> None:
    data = make_data(["red"], ["red"], ["green"], ["green"])
    before = save(tmp_path, "a", measure(score(data, [RED, GREEN, GREEN, RED])))
    after = save(tmp_path, "b", measure(score(data, [RED, RED, RED, RED])))
    found = compare(before, after)
    assert (found.images, found.both_right, found.both_wrong) == (4, 1, 1)
    assert [(image.name, image.before, image.after) for image in found.newly_right] == [
        ("1.png", ("green",), ("red",))
    ]
    assert [image.name for image in found.newly_wrong] == ["2.png"]
    assert found.p_value == 1
    assert [estimate.value for estimate in found.figures["top1"]] == [0.5, 0.5]


def test_images_that_only_one_evaluation_has_are_counted(tmp_path: Path) -> None:
    data = make_data(["red"], ["red"], ["green"])
    before = save(tmp_path, "a", measure(score(data, [RED, RED, RED], failed=[0])))
    after = save(tmp_path, "b", measure(score(data, [RED, RED, RED], failed=[1, 2])))
    with pytest.raises(InvalidData, match="no images in common"):
        compare(before, after)
    whole = save(tmp_path, "c", measure(score(data, [RED, RED, RED])))
    found = compare(before, whole)
    assert (found.images, found.only_before, found.only_after) == (2, 0, 1)


def test_evaluations_of_different_kinds_are_not_compared(tmp_path: Path) -> None:
    single = save(tmp_path, "a", measure(draw_scored(9)))
    several = save(tmp_path, "b", measure(draw_scored(9, exclusive=False)))
    with pytest.raises(InvalidData, match=r"a single-label evaluation, .* a multi-label one"):
        compare(single, several)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 99}'])
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(UnreadableResults, match=r"metrics\.json"):
        read_metrics(path)
    with pytest.raises(UnreadableResults, match="No such file"):
        read_metrics(tmp_path / "missing.json")


def test_images_with_other_true_labels_are_not_compared(tmp_path: Path) -> None:
    rows = [RED, RED, GREEN]
    before = save(tmp_path, "a", measure(score(make_data(["red"], ["red"], ["green"]), rows)))
    after = save(tmp_path, "b", measure(score(make_data(["red"], ["green"], ["green"]), rows)))
    found = compare(before, after)
    assert (found.images, found.other_truth, found.both_right) == (2, 1, 2)
    assert not found.newly_wrong
    swapped = save(tmp_path, "c", measure(score(make_data(["green"], ["green"], ["red"]), rows)))
    with pytest.raises(InvalidData, match="only names of images with other labels"):
        compare(before, swapped)
