from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pictag.errors import InvalidData
from pictag.evaluation import map_classes
from pictag.evaluation.mapping import describe_gaps
from pictag.models.labels import read_imagenet_labels

ANIMALS = ("tiger cat", "lion, king of beasts", "crane", "crane", "great_white shark, white shark")


def test_a_class_is_the_label_with_the_same_name_however_spelt() -> None:
    mapping = map_classes(("Tiger_cat", "lion", "White Shark"), ANIMALS)
    assert mapping.classes == {"Tiger_cat": 0, "lion": 1, "White Shark": 4}
    assert mapping.names == ("Tiger_cat", "lion", "crane (2)", "crane (3)", "White Shark")


def test_numbers_and_nan_are_names() -> None:
    mapping = map_classes(("007", "nan", "7"), ("7", "007", "nan"))
    assert mapping.classes == {"007": 1, "nan": 2, "7": 0}


def test_unmapped_and_ambiguous_classes_are_named() -> None:
    mapping = map_classes(("lion", "crane", "unicorn"), ANIMALS)
    assert mapping.classes == {"lion": 1}
    assert list(describe_gaps(mapping)) == [
        "Classes without a label: 'unicorn'. Give their labels with --map FILE.",
        "Ambiguous: the class 'crane' may be 'crane', 'crane'. Choose with --map.",
    ]


def test_two_classes_of_one_label_are_ambiguous() -> None:
    mapping = map_classes(("Lion", "lion", "tiger cat"), ANIMALS)
    assert mapping.classes == {"tiger cat": 0}
    assert set(mapping.ambiguous) == {"Lion", "lion"}


def test_classes_may_be_wordnet_ids_and_are_shown_by_name() -> None:
    mapping = map_classes(("n02129165", "n02012849"), read_imagenet_labels())
    assert mapping.classes == {"n02129165": 291, "n02012849": 134}
    assert (mapping.names[291], mapping.names[134]) == ("lion", "crane (134)")


@pytest.mark.parametrize("name", ["291", "n02129165", "Panthera leo", "king of beasts", "lion"])
def test_a_class_of_imagenet_has_an_index_an_id_and_several_names(name: str) -> None:
    assert map_classes((name,), read_imagenet_labels(), how="imagenet").classes == {name: 291}


def test_the_classes_of_imagenet_need_a_model_with_such_labels() -> None:
    with pytest.raises(InvalidData, match="needs a model whose labels are classes of ImageNet"):
        map_classes(("291",), ("red", "green"), how="imagenet")


def write_map(folder: Path, text: str) -> Path:
    path = folder / "map.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_belongs_together(tmp_path: Path) -> None:
    path = write_map(tmp_path, "class,label\ncats,tiger cat\ncats,lion\nfish,white shark\nnone,\n")
    mapping = map_classes(("cats", "fish", "none"), ANIMALS, how=path)
    assert mapping.left_out == ("none",)
    assert [mapping.names[place] for place in mapping.classes.values()] == ["cats", "fish"]
    assert mapping.labels_of(mapping.classes["cats"]) == [0, 1]
    scores = np.array([0.5, 0.25, 0, 0.125, 0.125], np.float32)
    assert mapping.combine(scores, exclusive=True)[mapping.classes["cats"]] == 0.75
    assert mapping.combine(scores, exclusive=False)[mapping.classes["cats"]] == 0.5


def test_a_file_may_give_two_classes_the_same_label(tmp_path: Path) -> None:
    mapping = map_classes(("a", "b"), ANIMALS, how=write_map(tmp_path, "a,lion\nb,lion\n"))
    assert mapping.classes["a"] == mapping.classes["b"]
    assert mapping.names[mapping.classes["a"]] == "a / b"


def test_classes_that_only_the_file_has_are_named(tmp_path: Path) -> None:
    path = write_map(tmp_path, "Lions,lion\nfish,white shark\n")
    mapping = map_classes(("lions", "fish"), ANIMALS, how=path)
    assert mapping.unknown == ("Lions",)
    assert "Named by --map, but not a class of the data: 'Lions'." in list(describe_gaps(mapping))
    with pytest.raises(InvalidData, match=r"other classes: 'Lions', 'fish'"):
        map_classes(("lions",), ANIMALS, how=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lion,lyon\n", "Row 1 .* 'lyon' is not a label of the model"),
        ("lion,crane\n", "Row 1 .* 'crane' is ambiguous"),
        ("lion\n", "Row 1 .* not class,label"),
        ("lion,lion\nb,lion\nb,tiger cat\n", "share the label"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        map_classes(("lion", "b"), ANIMALS, how=write_map(tmp_path, text))


def test_data_without_any_label_of_the_model_is_an_error() -> None:
    with pytest.raises(
        InvalidData, match=r"The classes are 'ants', 'bees'; the labels are 'tiger cat'.*--map"
    ):
        map_classes(("ants", "bees"), ANIMALS)
