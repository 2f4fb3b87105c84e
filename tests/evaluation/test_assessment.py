"""What is measured, on data whose figures can be counted by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from labelledimages import COLOURS, draw_scored, make_data, score
from pictag.errors import InvalidData
from pictag.evaluation import measure
from pictag.evaluation.metrics_file import encode_metrics

RED, GREEN, BLUE = ([0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.25, 0.75])


def test_accuracy_counts_and_confusions_are_those_of_the_images() -> None:
    data = make_data(["red"], ["red"], ["green"], ["blue"])
    found = measure(score(data, [RED, GREEN, GREEN, GREEN]))
    assert found.kind == "single_label"
    assert (found.figures["top1"].value, found.figures["top1"].n) == (0.5, 4)
    assert found.confusions == (("red", "green", 1), ("blue", "green", 1))
    green = {figures.name: figures for figures in found.classes}["green"]
    assert (green.images, green.predicted, green.recall.value, green.precision.value) == (1, 3, 1, 1 / 3)
    assert [image.is_right for image in found.images] == [True, False, True, False]


def test_every_figure_has_its_n_and_an_interval_around_it() -> None:
    for scored in (draw_scored(120), draw_scored(120, exclusive=False)):
        found = measure(scored)
        for name, figure in found.figures.items():
            assert figure.n == 120, name
            assert figure.low <= figure.value <= figure.high, name
            assert figure.low < figure.high, name
        for figures in found.classes:
            for figure in (figures.precision, figures.recall, figures.f1, figures.average_precision):
                assert figure.low <= figure.value <= figure.high


def test_images_that_fail_are_counted_apart() -> None:
    data = make_data(["red"], ["red"], ["green"])
    found = measure(score(data, [RED, RED, RED], failed=[1]))
    assert found.figures["top1"].n == 2
    assert [(name, failure.kind) for name, failure in found.failures] == [("1.png", "CorruptImage")]


def test_data_of_which_no_image_can_be_read_is_an_error() -> None:
    with pytest.raises(InvalidData, match=r"No image could be classified\. 0\.png: torn"):
        score(make_data(["red"]), [RED], failed=[0])


def test_images_of_classes_without_a_label_are_left_out_and_named() -> None:
    found = measure(score(make_data(["red"], ["ultraviolet"]), [RED, RED]))
    assert (found.skipped, found.figures["top1"].n) == (1, 1)
    assert "Classes without a label: 'ultraviolet'" in " ".join(found.notes)


def test_labels_that_the_data_does_not_have_count_as_wrong() -> None:
    found = measure(score(make_data(["red"], ["red"]), [BLUE, RED]))
    assert found.confusions == (("red", "blue", 1),)
    assert [figures.name for figures in found.classes] == ["red"]
    assert found.figures["macro_recall"].value == 0.5


def test_labels_of_a_sigmoid_model_are_judged_one_by_one() -> None:
    data = make_data(["red", "green"], ["red"], [], ["green"])
    scores = [[0.9, 0.4, 0.0], [0.9, 0.1, 0.6], [0.1, 0.2, 0.0], [0.6, 0.9, 0.0]]
    found = measure(score(data, scores, exclusive=False, thresholds={"green": 0.3}))
    assert found.kind == "multi_label"
    red, green = sorted(found.classes, key=lambda figures: COLOURS.index(figures.name))
    assert red.threshold == 0.5
    assert green.threshold == pytest.approx(0.3)
    assert (red.precision.value, red.recall.value) == (2 / 3, 1)
    assert (green.precision.value, green.recall.value, green.average_precision.value) == (1, 1, 1)
    # Blue isn't a label of the data, so its score can't be judged.
    assert [image.is_right for image in found.images] == [True, True, True, False]
    assert found.figures["exact"].value == 0.75


def test_images_without_the_only_label_of_a_model_are_its_counterexamples() -> None:
    data = make_data(["hotdog"], ["other"], ["other"])
    found = measure(score(data, [[0.9], [0.2], [0.6]], labels=("hotdog",), exclusive=False))
    (hotdog,) = found.classes
    assert (hotdog.images, hotdog.predicted, hotdog.precision.value) == (1, 2, 0.5)
    assert found.figures["exact"].value == 2 / 3


def test_labels_that_exclude_each_other_are_judged_one_by_one_if_images_have_several() -> None:
    found = measure(score(make_data(["red", "green"], ["blue"]), [RED, BLUE]))
    assert found.kind == "multi_label"
    assert any("each label is judged on its own" in note for note in found.notes)


def test_thresholds_reach_the_accuracy_that_is_wanted() -> None:
    scored = draw_scored(400)
    found = measure(scored)
    for point in found.points:
        if point.threshold is not None:
            best = scored.scores.max(axis=1)
            kept = best >= point.threshold
            right = scored.scores.argmax(axis=1) == scored.truth
            assert right[kept].mean() >= point.wanted
            assert kept.mean() == pytest.approx(point.coverage.value)


def test_a_wrong_breed_is_the_right_kind() -> None:
    labels = ("n02099601", "n02099712", "n02123045", "n03417042")  # two retrievers, a cat, a truck
    data = make_data(["n02099601"], ["n02099601"], ["n02123045"])
    other_dog, cat = [0.2, 0.5, 0.2, 0.1], [0.2, 0.1, 0.6, 0.1]
    found = measure(score(data, [other_dog, cat, cat], labels=labels))
    words = {concept.word: concept for concept in found.concepts}
    assert (words["dog"].right.value, words["dog"].as_label.value, words["dog"].right.n) == (0.5, 0, 2)
    assert words["animal"].right.value == 1
    assert found.figures["concept"].value == pytest.approx(2 / 3)


def test_metrics_json_has_no_nan_and_every_image() -> None:
    found = measure(score(make_data(["red"], ["green"]), [RED, RED]))
    content = json.loads(encode_metrics(found), parse_constant=pytest.fail)
    assert content["figures"]["top1"] == {
        "value": 0.5, "n": 2, "low": pytest.approx(0.0945, abs=1e-3), "high": pytest.approx(0.9055, abs=1e-3),
    }  # fmt: skip
    assert [image["right"] for image in content["images"]] == [True, False]
    green = next(entry for entry in content["classes"] if entry["class"] == "green")
    assert green["precision"]["value"] is None
    assert math.isnan(next(f for f in found.classes if f.name == "green").precision.value)


def test_a_model_that_is_always_right_has_an_evaluation() -> None:
    found = measure(score(make_data(["red"], ["green"]), np.eye(3)[[0, 1]]))
    assert found.figures["ece"].value == 0
    assert found.confusions == ()
