"""The labels of models, connected with the vocabulary."""

from __future__ import annotations

import numpy as np
import pytest

from pictag.models.labels import read_imagenet_labels
from pictag.vocabulary import LabelConcepts, match_labels, read_classes

IMAGENET = read_imagenet_labels()


def score(concepts: LabelConcepts, scores: list[float], *, exclusive: bool = True) -> dict[str, float]:
    combined = concepts.combine(np.array(scores, np.float32), exclusive=exclusive)
    return {concept.word: float(value) for concept, value in zip(concepts.broader, combined, strict=True)}


@pytest.mark.parametrize(
    "labels",
    [
        IMAGENET,
        [label.split(", ")[0] for label in IMAGENET],
        [label.split(", ")[0].replace(" ", "_").lower() for label in IMAGENET],
        [str(term.id) for term in read_classes()],
    ],
    ids=["labels", "first names", "underscores", "ids"],
)
def test_imagenets_classes_are_known_by_any_of_their_names(labels: list[str]) -> None:
    assert match_labels(labels).labels == read_classes()


def test_a_background_class_moves_the_others() -> None:
    found = match_labels(("background", *IMAGENET))
    assert found.labels[1:] == read_classes()
    assert found.labels[0] is not None
    assert found.labels[0].word == "background"


def test_a_model_of_some_classes_knows_their_concepts() -> None:
    some = [label.split(", ")[0] for label in IMAGENET[150:170]]
    assert match_labels(some).labels == read_classes()[150:170]


def test_wordnet_ids_of_a_model_come_before_its_labels() -> None:
    found = match_labels(("one", "two"), ("n02123045", "n07753592"))
    assert [term and term.word for term in found.labels] == ["tabby cat", "banana"]


def test_a_model_of_other_labels_has_no_concepts() -> None:
    found = match_labels(("cat", "crane, heavy machine", "^_^"))
    assert found.broader == ()
    assert [term and (term.word, term.synonyms) for term in found.labels] == [
        ("cat", ()),
        ("crane", ("heavy machine",)),
        None,
    ]
    assert score(found, [0.5, 0.25, 0.25]) == {}


@pytest.mark.parametrize(
    "labels", [("cat", "dog"), ("Cats", "dogs", "other"), ("none of these", "dog", "cat")]
)
def test_labels_that_are_concepts_reach_those_above_them(labels: tuple[str, ...]) -> None:
    found = match_labels(labels)
    assert {term.word for term in found.labels if term and term.parents} == {"cat", "dog"}
    scores = [0.5 if label.lower().startswith("cat") else 0.25 for label in labels]
    assert score(found, scores) == {"animal": 0.75, "mammal": 0.75, "dog": 0.25, "cat": 0.5, "pet": 0.75}


@pytest.mark.parametrize(
    ("labels", "concepts"),
    [
        (("tennis", "golf", "squash"), {"tennis", "golf", "sport"}),  # a sport here, and a vegetable
        (("cat", "ant", "car"), {"cat", "mammal", "pet", "ant", "insect", "invertebrate", "animal"}),
        (("cat",), set()),
        (("squash", "tennis"), set()),
        (("cat", "dog", "kite"), set()),  # one of ImageNet's birds, or a toy
        (("table", "figure", "text"), set()),
        (("bull", "bear"), set()),
        (("boxer", "pug"), set()),
        (("1girl", "cat", "dog", "tank", "bow_(weapon)"), set()),
        (("apple_pie", "lobster_bisque", "hot_dog"), set()),
        (("/a/airfield", "/b/barn", "/c/castle"), set()),
    ],
)
def test_a_word_that_may_mean_something_else_is_no_concept(
    labels: tuple[str, ...], concepts: set[str]
) -> None:
    assert {concept.word for concept in match_labels(labels).broader} == concepts


def test_ids_of_concepts_are_known_beside_those_of_classes() -> None:
    """Models with the 21,841 classes of ImageNet-21k have both, and many others."""
    found = match_labels(("n02084071", "n02088364", "n00000001"))  # dog, beagle, and one that isn't known
    assert score(found, [0.5, 0.25, 0.25])["dog"] == 0.75
    assert found.labels[2] is not None
    assert found.labels[2].parents == ()


def test_a_name_of_two_classes_is_unclear_without_the_other() -> None:
    some = [*(label.split(", ")[0] for label in IMAGENET[150:170]), "crane"]
    crane = match_labels(some).labels[-1]
    assert crane is not None
    assert crane.id is None


def test_probabilities_are_summed_upwards() -> None:
    concepts = match_labels(("n02123045", "n02123159", "n07753592"))  # two cats and a banana
    found = score(concepts, [0.5, 0.25, 0.125])
    assert found["cat"] == found["animal"] == 0.75
    assert found["fruit"] == 0.125


def test_a_class_counts_once_for_a_concept_that_it_reaches_twice() -> None:
    cat_is_animal_and_pet = match_labels(("n02123045", "n07753592"))
    assert score(cat_is_animal_and_pet, [0.75, 0.25])["animal"] == 0.75


def test_of_independent_labels_the_largest_counts() -> None:
    concepts = match_labels(("n02123045", "n02123159"))
    assert score(concepts, [0.75, 0.5], exclusive=False)["cat"] == 0.75


def test_a_sum_is_never_above_1() -> None:
    concepts = match_labels(("n02123045", "n02123159"))
    assert score(concepts, [0.75, 0.2500001])["cat"] == 1
