"""``pictag classify --embeddings``, from the image to the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pictag import pipeline
from pictag.cli import main
from resultfiles import FORMATS, READERS
from tinymodel import make_image

each_format = pytest.mark.parametrize("file_format", FORMATS)


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with red.png, green.png, blue.png and torn.png, and the working folder above it."""
    monkeypatch.chdir(tmp_path)
    for colour in ("red", "green", "blue"):
        make_image(tmp_path / "images" / f"{colour}.png", colour)
    (tmp_path / "images" / "torn.png").write_bytes((tmp_path / "images" / "red.png").read_bytes()[:-30])
    return tmp_path / "images"


@each_format
def test_each_image_has_the_embedding_of_the_library(tiny: str, colours: Path, file_format: str) -> None:
    output = f"run.{file_format}"
    assert main(["classify", "images", "-m", tiny, "--embeddings", "-o", output, "-q"]) == 1
    found = {prediction.source: prediction for prediction in READERS[file_format](Path(output))}
    assert found["images/torn.png"].error is not None
    assert found["images/torn.png"].embedding is None
    with pipeline(model=tiny, embeddings=True) as classifier:
        for colour in ("red", "green", "blue"):
            prediction = found[f"images/{colour}.png"]
            assert prediction.labels[0].label == colour
            (expected,) = classifier.embed(colours / f"{colour}.png")
            assert prediction.embedding is not None
            np.testing.assert_array_equal(prediction.embedding, expected)


@each_format
def test_a_run_is_resumed_only_with_the_same_choice(
    tiny: str, colours: Path, file_format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["classify", "-m", tiny, "-o", f"run.{file_format}", "-q"]
    assert main([*command, "--embeddings", "images/red.png"]) == 0
    assert main([*command, "--resume", "images"]) != 0
    assert "Continue it with --embeddings" in capfd.readouterr().err
    assert main([*command, "--resume", "--embeddings", "images"]) == 1
    found = list(READERS[file_format](Path(f"run.{file_format}")))
    assert len(found) == 4
    assert sum(prediction.embedding is not None for prediction in found) == 3


def test_a_tensor_can_be_named(tiny: str, colours: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "images/red.png", "-m", tiny, "--embedding-output", "logits", "-q"]) == 0
    line = json.loads(capfd.readouterr().out)
    np.testing.assert_allclose(line["embedding"], [2, -2, -2], atol=1e-6)
    assert main(["classify", "images/red.png", "-m", tiny, "--embedding-output", "mean", "-q"]) == 2
    assert "Did you mean 'means'?" in capfd.readouterr().err


def test_a_table_with_embeddings_is_a_usage_error(
    tiny: str, colours: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "images", "-m", tiny, "--embeddings", "--format", "table"]) == 2
    assert "--format jsonl, json, csv or parquet" in capfd.readouterr().err
