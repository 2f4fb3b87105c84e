"""From predictions to keywords."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pictag import pipeline
from pictag.errors import OptionError
from pictag.keywords import Keyworder, KeywordSuggestions, count_concepts
from pictag.keywords.cuts import PATH
from pictag.models.efficientnet_lite import MODELS
from pictag.models.reference import EMBEDDED
from tinymodel import make_image, make_tiny_model

# A red image is a tabby, a green one a tiger cat, a blue one a banana.
LABELS = ("n02123045", "n02123159", "n07753592")


def make_model(
    folder: Path, *, sharpness: float = 2.0, labels: tuple[str, ...] = LABELS, **config: Any
) -> Path:
    make_tiny_model(folder, labels=labels, sharpness=sharpness)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | config), encoding="utf-8")
    return folder


def suggest(model: Path, image: Path, **options: Any) -> KeywordSuggestions:
    with pipeline(model=model) as classifier:
        (found,) = Keyworder(classifier, **options).suggest(image)
    return found


def words(found: KeywordSuggestions) -> list[str]:
    return [entry.keyword for entry in found.keywords]


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return make_image(tmp_path / "red.png", "red")


def test_narrow_terms_come_before_broad_ones(tmp_path: Path, red: Path) -> None:
    found = suggest(make_model(tmp_path / "model"), red)
    assert words(found) == ["tabby cat", "cat", "pet", "mammal", "animal"]
    label, cat, *_ = found.keywords
    assert (label.kind, label.path, label.id) == (
        "label",
        ("animal", "mammal", "cat", "tabby cat"),
        "n02123045",
    )
    assert (cat.kind, cat.path, cat.id) == ("concept", ("animal", "mammal", "cat"), "n02121808")
    assert [reason.label for reason in cat.reasons] == ["n02123045", "n02123159"]


@pytest.mark.parametrize(("config", "count"), [({}, 6), ({"problem_type": "regression"}, 0)])
def test_only_a_model_with_probabilities_has_concepts(
    tmp_path: Path, config: dict[str, Any], count: int
) -> None:
    with pipeline(model=make_model(tmp_path / "model", **config)) as classifier:
        assert count_concepts(classifier.model) == count


def test_a_concept_may_be_certain_where_no_label_is(tmp_path: Path) -> None:
    from PIL import Image

    orange = tmp_path / "yellow.png"
    Image.new("RGB", (8, 8), (255, 255, 0)).save(orange)  # both cats alike
    found = suggest(make_model(tmp_path / "model"), orange)
    assert "cat" in words(found)
    assert "tabby cat" not in words(found)


def test_the_best_keywords_are_kept(tmp_path: Path, red: Path) -> None:
    assert words(suggest(make_model(tmp_path / "model"), red, max_keywords=2)) == ["tabby cat", "cat"]


def test_a_lowest_score_applies_to_labels_and_concepts(tmp_path: Path, red: Path) -> None:
    model = make_model(tmp_path / "model")
    assert words(suggest(model, red, min_score=0.9999)) == []
    assert {"tabby cat", "tiger cat", "banana", "fruit"} <= set(words(suggest(model, red, min_score=0.001)))


def test_added_words_come_first_and_only_once(tmp_path: Path, red: Path) -> None:
    found = suggest(make_model(tmp_path / "model"), red, add=("Iceland", "Cat"), max_keywords=1)
    assert words(found) == ["Iceland", "Cat", "tabby cat"]
    assert found.keywords[0].kind == "added"


@pytest.mark.parametrize("word", ["a, b", "a/b", "a|b", "a;b", "", " ", "x" * 65])
def test_a_word_that_other_programs_would_split_is_refused(tmp_path: Path, red: Path, word: str) -> None:
    with pytest.raises(OptionError, match="can't be used as it is"):
        suggest(make_model(tmp_path / "model"), red, add=(word,))


def test_a_model_of_other_labels_gives_its_labels(tmp_path: Path, red: Path) -> None:
    model = make_model(tmp_path / "model", labels=("apple_pie", "b", "c"))
    (entry,) = suggest(model, red).keywords
    assert (entry.keyword, entry.kind, entry.path, entry.id) == ("apple pie", "label", ("apple pie",), None)


def test_a_label_without_a_word_is_never_a_keyword(tmp_path: Path, red: Path) -> None:
    assert words(suggest(make_model(tmp_path / "model", labels=("^_^", "b", "c")), red)) == []


def test_thresholds_of_labels_in_the_card_are_used(tmp_path: Path, red: Path) -> None:
    config: dict[str, Any] = {
        "problem_type": "multi_label_classification",
        "pictag": {"thresholds": {"b": 0.1, "a": 0.95}},
    }
    model = make_model(tmp_path / "model", labels=("a", "b", "c"), **config)
    assert words(suggest(model, red)) == ["b"]  # sigmoid: a 0.88, b and c 0.12


def test_scores_that_are_not_probabilities_are_refused(tmp_path: Path, red: Path) -> None:
    with pytest.raises(OptionError, match="probabilities"):
        suggest(make_model(tmp_path / "model", problem_type="regression"), red)


def test_a_photograph_that_fails_has_its_error(tmp_path: Path) -> None:
    found = suggest(make_model(tmp_path / "model"), tmp_path / "missing.png")
    assert found.error is not None
    assert found.error.kind == "ImageNotFound"
    assert found.keywords == ()


def test_folders_and_several_photographs_are_taken(tmp_path: Path, red: Path) -> None:
    make_image(tmp_path / "folder" / "blue.png", "blue")
    with pipeline(model=make_model(tmp_path / "model")) as classifier:
        found = Keyworder(classifier).suggest([red, tmp_path / "folder"])
    assert [words(entry)[0] for entry in found] == ["tabby cat", "banana"]


def test_only_terms_of_a_vocabulary_are_suggested(tmp_path: Path, red: Path) -> None:
    catalogue = tmp_path / "catalogue.txt"
    catalogue.write_text("Tiere\n\tKatze\n\t\t{cat}\n\t[Getigerte]\n\t\t{tabby cat}\n", encoding="utf-8")
    found = suggest(make_model(tmp_path / "model"), red, vocabulary=catalogue)
    assert [(entry.keyword, entry.path) for entry in found.keywords] == [("Katze", ("Tiere", "Katze"))]


@pytest.mark.parametrize("name", [*MODELS, EMBEDDED])
def test_the_cuts_of_built_in_models_are_measured(name: str) -> None:
    assert "keywords were right" in json.loads(PATH.read_text("utf-8"))[name]["how"]


def test_the_cuts_of_an_unknown_model_are_marked_as_guesses(tmp_path: Path) -> None:
    with pipeline(model=make_model(tmp_path / "model")) as classifier:
        assert not Keyworder(classifier).cuts.is_measured
    with pipeline(model="embedded") as classifier:
        cuts = Keyworder(classifier).cuts
    assert cuts.is_measured
    assert "held-out images" in cuts.how
