"""``pipeline(crop=…)``: the scores of tiles are averaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pictag import pipeline
from tinymodel import make_tiny_model


def test_the_score_of_tiles_is_the_mean_of_their_scores(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    image = Image.new("RGB", (90, 30), "red")
    image.paste("green", (60, 0, 90, 30))
    with pipeline(model=folder, top_k=None) as classifier:
        tiles = [image.crop((x, 0, x + 30, 30)) for x in (0, 30, 60)]
        expected: dict[str, float] = {}
        for entries in classifier(tiles):
            for entry in entries:
                expected[entry["label"]] = expected.get(entry["label"], 0.0) + entry["score"] / 3
    with pipeline(model=folder, top_k=None, crop="tiles") as classifier:
        for found in (classifier(image), classifier([image, image])[1]):
            assert {entry["label"]: entry["score"] for entry in found} == pytest.approx(expected, abs=1e-6)


def test_what_the_centre_crop_cuts_off_is_seen_with_whole_and_tiles(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    image = Image.new("RGB", (400, 40), "black")
    image.paste("red", (0, 0, 40, 40))
    with pipeline(model=folder, top_k=None) as classifier:
        labels = [entry["label"] for entry in classifier(Image.new("RGB", (40, 40), "red"))]
    assert labels[0] == "red"
    scores = {}
    for crop in ("model", "tiles"):
        with pipeline(model=folder, top_k=None, crop=crop) as classifier:
            scores[crop] = {entry["label"]: entry["score"] for entry in classifier(image)}["red"]
    assert scores["tiles"] > scores["model"]
