"""A model's card as ``pictag models inspect`` shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pictag.cli.card import describe_card, show_size
from pictag.engines.registry import EngineChoice
from pictag.models.graph_facts import EmbeddingTensor
from pictag.models.load import load_model
from pictag.models.reference import parse_reference
from tinymodel import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = EngineChoice(name="openvino", why="it is faster")


def test_the_card_of_the_embedded_model_has_its_training_and_its_limitations() -> None:
    model = load_model(parse_reference("embedded"))
    embedding = EmbeddingTensor(name="pooled", axis=-1)
    told = dict(describe_card(model, {}, ENGINE, embedding))
    assert told["engine"] == "openvino: it is faster"
    assert told["embedding"] == "the tensor pooled"
    assert "ImageNet" in str(told["data"])
    assert "top-1" in str(told["accuracy"])
    assert "calibration" in str(told["accuracy"])
    assert {"licence", "method", "training", "limitation", "not for", "sha256"} <= told.keys()


def test_card_values_of_an_unexpected_type_are_skipped(tmp_path: Path) -> None:
    make_tiny_model(tmp_path)
    card = {"status": 3, "data": "all", "training": [], "evaluation": {"top1": "high"}, "limitations": "none"}
    (tmp_path / "card.json").write_text(json.dumps(card))
    model = load_model(parse_reference(tmp_path))
    told = dict(describe_card(model, {"error": "broken"}, ENGINE, "none here"))
    assert (told["graph"], told["embedding"]) == ("broken", "none here")
    assert not {"status", "data", "training", "accuracy", "limitation"} & told.keys()


def test_thresholds_and_temperature_are_shown_with_their_files(tmp_path: Path) -> None:
    make_tiny_model(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({"thresholds": {"red": 0.6}}))
    (tmp_path / "pictag.toml").write_text("temperature = 1.5\n")
    told = dict(describe_card(load_model(parse_reference(tmp_path)), {}, ENGINE, "none here"))
    assert told["threshold"] == f"0.6 for red ({tmp_path / 'card.json'})"
    assert told["temperature"] == f"1.5 ({tmp_path / 'pictag.toml'})"


@pytest.mark.parametrize(
    ("size", "shown"), [(None, "size unknown"), (0, "0 B"), (999, "999 B"), (3_691_395, "3.7 MB")]
)
def test_sizes_are_shown_in_a_suitable_unit(size: int | None, shown: str) -> None:
    assert show_size(size) == shown
