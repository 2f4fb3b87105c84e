"""Labels from all kinds of configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.errors import InvalidModel
from pictag.models.labels import (
    read_distinct_imagenet_labels,
    read_imagenet_labels,
    read_labels,
    read_problem_type,
)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"id2label": {"0": "a", "1": "b"}}, ("a", "b")),
        ({"id2label": {1: "b", 0: "a"}}, ("a", "b")),
        (
            {"id2label": {"10": "k", "2": "c", "0": "a"}},
            ("a", "LABEL_1", "c", *(f"LABEL_{i}" for i in range(3, 10)), "k"),
        ),
        ({"id2label": ["a", "b"]}, ("a", "b")),
        ({"id2label": {"0": "crane", "1": "crane"}}, ("crane", "crane")),
        ({"id2label": {"0": 7, "1": None, "2": 1.5}}, ("7", "LABEL_1", "1.5")),
        ({"label2id": {"b": 1, "a": "0"}}, ("a", "b")),
        ({"id2label": {}, "label2id": {"a": 0}}, ("a",)),
        ({"num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({}, ("LABEL_0", "LABEL_1")),
        ({"label_names": ["x", "y"], "num_classes": 2}, ("x", "y")),
        ({"pretrained_cfg": {"labels": ["x", "y"]}}, ("x", "y")),
        ({"pretrained_cfg": {"num_classes": 3}}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        (
            {"label_names": ["n01440764", "odd"], "label_descriptions": {"n01440764": "tench", "odd": "no"}},
            ("tench", "odd"),
        ),
        ({"label_names": ["n01440764"], "label_descriptions": ["tench"]}, ("tench",)),
        ({"id2label": {"0": "background", "1": "tench"}}, ("background", "tench")),
    ],
)
def test_labels_are_in_the_order_of_the_output(config: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert read_labels(config) == expected


def test_a_timm_model_of_a_thousand_classes_has_the_imagenet_labels() -> None:
    labels = read_labels(
        {"architecture": "resnet18", "num_classes": 1000, "pretrained_cfg": {"tag": "a1_in1k"}}
    )
    assert len(labels) == 1000
    assert (labels[0], labels[292], labels[999]) == (
        "tench, Tinca tinca",
        "tiger, Panthera tigris",
        "toilet tissue, toilet paper, bathroom tissue",
    )


def test_a_thousand_labels_of_another_model_stay_unnamed() -> None:
    assert read_labels({"num_labels": 1000})[0] == "LABEL_0"


@pytest.mark.shared
def test_the_table_in_the_package_is_that_of_the_data_set(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (shared / "datasets" / "imagenet-1k-classes.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert read_imagenet_labels() == tuple(line.split("\t")[2] for line in lines)
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "training"))
    from imagenet_classes import TABLE, make_table

    assert TABLE.read_text(encoding="utf-8") == make_table(shared / "datasets")


def test_every_distinct_imagenet_label_has_its_own_first_name() -> None:
    labels = read_distinct_imagenet_labels()
    assert list(labels) == sorted(labels)
    assert len({label.partition(",")[0].casefold() for label in labels.values()}) == 1000
    changed = {
        new: old for new, old in zip(labels.values(), read_imagenet_labels(), strict=True) if new != old
    }
    assert changed == {
        "crane (wading bird)": "crane",
        "Cardigan (corgi), Cardigan Welsh corgi": "Cardigan, Cardigan Welsh corgi",
        "cardigan (sweater)": "cardigan",
        "crane (lifting device)": "crane",
        "maillot (tights)": "maillot",
        "maillot (swimsuit), tank suit": "maillot, tank suit",
    }


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": "cat"},
        {"id2label": {"zero": "a"}},
        {"id2label": {"-1": "a"}},
        {"id2label": {"99999999999": "a"}},
        {"id2label": {"0": ["a"]}},
        {"label2id": {"a": None}},
        {"num_labels": "3"},
        {"num_labels": 0},
        {"num_labels": True},
        {"label_names": "cat"},
    ],
)
def test_invalid_labels_are_an_error_that_names_the_file(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidModel, match=r"config\.json"):
        read_labels(config)


@given(st.dictionaries(st.integers(0, 50), st.text(), min_size=1))
def test_every_label_is_at_its_id(table: dict[int, str]) -> None:
    labels = read_labels({"id2label": {str(key): value for key, value in table.items()}})
    assert len(labels) == max(table) + 1
    assert all(labels[key] == value for key, value in table.items())


def test_the_problem_type_is_what_the_configuration_says() -> None:
    assert read_problem_type({}) == "single_label_classification"
    assert read_problem_type({"problem_type": "multi_label_classification"}) == "multi_label_classification"
    with pytest.raises(InvalidModel, match="is 'guess', not one of single_label"):
        read_problem_type({"problem_type": "guess"})
