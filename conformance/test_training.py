"""The training of the embedded model still works, from the archives to a model that pictag takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pictag import pipeline

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "datasets"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data set in ../shared/datasets")
def test_a_shortened_training_gives_a_model_that_classifies(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "training" / "train.py", "--smoke", "--data", DATA, "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    with pipeline("image-classification", model=tmp_path / "model") as classifier:
        assert len(classifier.labels) == 200
        # It has learnt next to nothing, and knows it: no calibrated score is high.
        picture = ROOT.parent / "shared" / "images" / "gallery" / "skimage_coffee.png"
        best = classifier(picture, top_k=5)
        assert len(best) == 5
        assert best[0]["score"] < 0.5
