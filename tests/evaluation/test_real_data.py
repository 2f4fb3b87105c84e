"""Evaluation with real models and real images."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from pictag import pipeline
from pictag.cli import main
from pictag.evaluation import evaluate, read_labelled


@pytest.mark.shared
@pytest.mark.slow
def test_photographs_in_folders_by_wordnet_id_have_the_accuracy_that_their_names_say(
    shared: Path, tmp_path: Path
) -> None:
    names = {}
    for path in sorted((shared / "images" / "imagenet").iterdir())[::4]:
        index, wordnet_id, _ = path.name.split("_", 2)
        folder = tmp_path / wordnet_id
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder)
        names[f"{wordnet_id}/{path.name}"] = int(index) + 1  # the model's first label is the background
    with pipeline(model=shared / "models" / "mobilenet_v1_0.25_128") as classifier:
        found = evaluate(classifier, read_labelled(tmp_path))
        labels = [prediction.labels[0].index for prediction in classifier.stream(
            [tmp_path / name for name in sorted(names)]
        )]  # fmt: skip
    right = sum(index == names[name] for index, name in zip(labels, sorted(names), strict=True))
    assert found.figures["top1"].value == right / len(names)
    assert 0.3 < found.figures["top1"].value < found.figures["top5"].value
    assert found.figures["concept"].value >= found.figures["top1"].value


@pytest.mark.shared
@pytest.mark.slow
def test_a_data_set_with_splits_and_a_map_from_its_archive_to_the_figures(
    shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(shared / "datasets" / "ants-bees.tar.xz") as archive:
        chosen = [member for member in archive.getmembers() if member.name.startswith("val/")][::8]
        archive.extractall(tmp_path, chosen, filter="data")
    (tmp_path / "classes.csv").write_text("ants,ant\nbees,bee\n")
    model = str(shared / "models" / "mobilenet_v2")
    arguments = ["evaluate", str(tmp_path), "--split", "val", "-m", model, "-q", "-f", "json"]
    assert main([*arguments, "--map", str(tmp_path / "classes.csv")]) == 0
    summary = json.loads(capfd.readouterr().out)
    assert summary["counts"]["evaluated"] == sum(member.isfile() for member in chosen)
    assert summary["figures"]["top1"]["value"] > 0.3  # by chance, 0.001
    assert main(arguments) == 2  # without the map
    assert "No class of the data is a label of the model" in capfd.readouterr().err
