from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelledimages import draw_scored, make_data, score
from pictag import pipeline
from pictag.errors import InvalidData, OptionError
from pictag.evaluation.fitting import fit_card, split_folds, write_card
from pictag.models.load import load_model
from pictag.models.reference import parse_reference
from tinymodel import make_tiny_model


@pytest.mark.parametrize("exclusive", [True, False])
def test_calibration_halves_the_error_on_images_that_were_not_used(exclusive: bool) -> None:
    fitted = fit_card(draw_scored(3000, factor=3, exclusive=exclusive))
    assert fitted.temperature == pytest.approx(3, rel=0.15)
    assert fitted.ece[1] <= max(fitted.ece[0] / 2, 0.03)
    assert fitted.log_loss[1] < fitted.log_loss[0]


def test_the_new_temperature_multiplies_the_old_one() -> None:
    scored = draw_scored(2000, factor=2)
    once = fit_card(scored)
    again = fit_card(score(scored.data, scored.scores, temperature=1.5))
    assert again.temperature == pytest.approx(1.5 * once.temperature)


def test_calibrated_scores_keep_their_temperature() -> None:
    fitted = fit_card(draw_scored(300, seed=1))
    assert fitted.temperature == pytest.approx(1, abs=0.25)
    assert fitted.log_loss[1] <= fitted.log_loss[0]


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("wanted", [{"min_precision": 0.8}, {"min_recall": 0.7}])
def test_thresholds_give_about_what_was_wanted_on_images_that_were_not_used(
    exclusive: bool, wanted: dict[str, float]
) -> None:
    fitted = fit_card(draw_scored(1500, exclusive=exclusive), **wanted)
    assert set(fitted.thresholds) == {"red", "green", "blue"}
    assert fitted.held_out is not None
    precision, recall = fitted.held_out
    reached = precision if "min_precision" in wanted else recall
    assert reached.value == pytest.approx(next(iter(wanted.values())), abs=0.05)


def test_the_parts_of_the_data_have_the_same_share_of_each_class() -> None:
    scored = draw_scored(300)
    folds = split_folds(scored)
    for place in range(3):
        counts = np.bincount(folds[scored.truth == place], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_what_cannot_be_fitted_is_an_error() -> None:
    with pytest.raises(InvalidData, match="20 images are too few"):
        fit_card(draw_scored(20))
    with pytest.raises(OptionError, match="contradict"):
        fit_card(draw_scored(60), min_precision=0.9, min_recall=0.9)
    with pytest.raises(OptionError, match="min_precision=90"):
        fit_card(draw_scored(60), min_precision=90)
    data = make_data(*[["red"]] * 60)
    with pytest.raises(InvalidData, match="No temperature can be fitted"):
        fit_card(score(data, [[0.9, 0.05, 0.05]] * 60))


def test_thresholds_of_the_card_are_not_left_behind_by_a_new_temperature() -> None:
    scored = draw_scored(300, factor=2)
    with_thresholds = score(scored.data, scored.scores, thresholds={"red": 0.4})
    with pytest.raises(OptionError, match="has thresholds, which another temperature would make wrong"):
        fit_card(with_thresholds)
    assert fit_card(with_thresholds, min_precision=0.6).thresholds


def test_a_graph_that_returns_probabilities_keeps_its_scores() -> None:
    from dataclasses import replace

    scored = draw_scored(300, factor=2)
    scored = replace(scored, model=replace(scored.model, takes_temperature=False))
    fitted = fit_card(scored, min_recall=0.8)
    assert fitted.temperature == 1
    assert fitted.ece[0] == fitted.ece[1]


def test_the_card_keeps_its_other_entries_and_every_command_uses_the_new_ones(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "tiny")
    (folder / "card.json").write_text('{"licence": "MIT", "thresholds": {"red": 0.1}}')
    fitted = fit_card(draw_scored(300, factor=2), min_precision=0.6)
    model = load_model(parse_reference(folder))
    path = write_card(model, fitted, data="photos", wanted={"min_precision": 0.6})
    assert path == folder / "card.json"
    card = json.loads(path.read_text())
    assert (card["licence"], card["calibration"]["images"]) == ("MIT", 300)
    with pipeline(model=folder) as classifier:
        knowledge = classifier.card.knowledge
    assert knowledge.temperature == pytest.approx(fitted.temperature, abs=1e-5)
    assert knowledge.thresholds == pytest.approx(dict(fitted.thresholds), abs=1e-5)


def test_thresholds_near_0_and_1_are_written_as_they_are(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    fitted = fit_card(draw_scored(300), min_precision=0.6)
    values = {"red": 3.1234567e-8, "green": 0.99999964, "blue": 0.5}
    model = load_model(parse_reference(folder))
    path = write_card(model, replace(fitted, thresholds=values), data="x", wanted={"min_precision": 0.6})
    written = json.loads(path.read_text())["thresholds"]
    assert written == pytest.approx(values, rel=1e-8)
