"""Thresholds, temperature and output: where they are read from, and what they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pictag import pipeline
from pictag.errors import InvalidModel, OptionError
from probegraphs import make_probe
from tinymodel import make_image, make_tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "model")


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def edit_config(folder: Path, known: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", config | {"pictag": known})


def score_all(folder: Path, image: Path, **options: Any) -> dict[str, float]:
    with pipeline(model=folder, top_k=None) as classifier:
        return {entry["label"]: entry["score"] for entry in classifier(image, **options)}


@pytest.mark.parametrize("home", ["", "/nowhere"])
def test_a_user_without_a_home_folder_can_use_the_embedded_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str
) -> None:
    monkeypatch.setenv("HOME", home)  # as in a container with any user id
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    with pipeline(model="embedded") as classifier:
        assert classifier.card.knowledge.sources == {}
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_replaces_min_score_for_its_label(folder: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "red.png", "red")
    scores = score_all(folder, image)
    best, *others = scores
    write(folder / "card.json", {"thresholds": {best: 0.999999, others[0]: 0.0}})
    assert list(score_all(folder, image)) == others
    assert list(score_all(folder, image, min_score=1.0)) == [others[0]]


def test_top_k_counts_the_labels_that_reach_their_threshold(folder: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "red.png", "red")
    best, second, *_ = score_all(folder, image)
    write(folder / "card.json", {"thresholds": {best: 0.999999}})
    with pipeline(model=folder) as classifier:
        assert classifier(image, top_k=1)["label"] == second


def test_the_temperature_divides_the_logits(folder: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "red.png", "red")
    before = score_all(folder, image)
    write(folder / "card.json", {"temperature": 2.0})
    after = score_all(folder, image)
    assert list(before) == list(after)
    assert max(after.values()) < max(before.values())
    raw = score_all(folder, image, function_to_apply="none")
    with pipeline(model=folder) as classifier:
        logits = classifier.forward(classifier.preprocess(image))[0]
    assert sorted(raw.values()) == sorted(logits.tolist())


def test_the_card_comes_before_pictag_toml_and_that_before_config_json(folder: Path) -> None:
    def temperature() -> tuple[float, str]:
        with pipeline(model=folder) as classifier:
            knowledge = classifier.card.knowledge
            return knowledge.temperature, Path(knowledge.sources["temperature"].split()[-1]).name

    edit_config(folder, {"temperature": 3})
    assert temperature() == (3.0, "config.json")
    (folder / "pictag.toml").write_text("temperature = 2.0\n")
    assert temperature() == (2.0, "pictag.toml")
    write(folder / "card.json", {"temperature": 1.5})
    assert temperature() == (1.5, "card.json")


def test_the_call_comes_before_the_card_that_before_pictag_toml_and_that_before_config_json(
    folder: Path,
) -> None:
    def output(**options: Any) -> tuple[str | None, str]:
        with pipeline(model=folder, **options) as classifier:
            return classifier.model.outputs, classifier.card.outputs_why.partition(" says so")[0].split("/")[
                -1
            ]

    assert output() == ("logits", "the graph ends in MatMul")
    edit_config(folder, {"output": "probabilities"})
    assert output() == ("probabilities", '"pictag" in config.json')
    (folder / "pictag.toml").write_text('output = "logits"\n')
    assert output() == ("logits", "pictag.toml")
    write(folder / "card.json", {"output": "probabilities"})
    assert output() == ("probabilities", "card.json")
    assert output(output="logits") == ("logits", "output=")


def test_the_output_with_the_scores_can_be_named_in_the_same_places(tmp_path: Path) -> None:
    folder = make_probe(tmp_path / "m", "a = Identity(l) b = Neg(l)", "float[n,3] a, float[n,3] b")

    def name(**options: Any) -> str | None:
        with pipeline(model=folder, **options) as classifier:
            return classifier.card.output_name

    edit_config(folder, {"output_name": "a"})
    assert name() == "a"
    (folder / "pictag.toml").write_text('output_name = "b"\n')
    assert name() == "b"
    write(folder / "card.json", {"output_name": "a"})
    assert name() == "a"
    assert name(output_name="b") == "b"
    with pytest.raises(OptionError, match="output_name='c' is not an output"):
        name(output_name="c")


def test_the_embedded_models_card_is_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pipeline(model="embedded") as classifier:
        sha256 = classifier.card.sha256
        assert classifier.card.knowledge.sources == {}
    card = tmp_path / "pictag" / "cards" / f"{sha256}.json"
    card.parent.mkdir(parents=True)
    write(card, {"thresholds": {"goldfish, Carassius auratus": 0.9}})
    with pipeline(model="embedded") as classifier:
        assert classifier.card.knowledge.sources == {"thresholds": str(card)}


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"thresholds": {"gren": 0.5}}, "'gren', which is not a label of the model. Did you mean 'green'?"),
        ({"thresholds": {"green": "high"}}, "'green' in .* is 'high', not a finite number"),
        ({"thresholds": [0.5]}, "not a table by label"),
        ({"temperature": 0}, "not a finite number above 0"),
        ({"temperature": True}, "not a finite number above 0"),
        ({"output": "scores"}, "output in .* is 'scores'; it is one of logits, probabilities"),
        ({"output": True}, "output in .* is one of logits, probabilities"),
        ({"output_name": 3}, "output_name in .* is '3', not text"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_file(folder: Path, known: Any, message: str) -> None:
    write(folder / "card.json", known)
    with pytest.raises(InvalidModel, match=message) as caught:
        pipeline(model=folder)
    assert "card.json" in str(caught.value)
