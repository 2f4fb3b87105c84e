"""``pictag evaluate``, ``compare`` and ``calibrate``, from the images to the files."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pictag.cli import main
from tinymodel import make_image, make_tiny_model


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six images in three classes, one of them in the wrong one, and a file that is torn."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    for colour in ("red", "green", "blue"):
        make_image(folder / colour / "plain.png", colour)
    make_image(folder / "red" / "odd.png", "blue")
    make_image(folder / "green" / "b.jpg", "green")
    (folder / "blue" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    return folder


def hashes(folder: Path) -> dict[Path, str]:
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def read_metrics(folder: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(folder, "metrics.json").read_text())
    return content


def test_a_report_with_all_files_and_the_wrong_images(
    tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = hashes(photos)
    assert main(["evaluate", "photos", "-m", tiny, "-o", "report", "--export-wrong", "wrong"]) == 1
    said = capfd.readouterr()
    assert "Top-1 accuracy" in said.out
    assert "80.0 %" in said.out
    assert "Images that could not be classified and aren't part of any figure: 1." in said.err
    metrics = read_metrics("report")
    assert metrics["counts"] == {"evaluated": 5, "unreadable": 1, "left_out": 0}
    assert metrics["confusions"] == [{"truth": "red", "predicted": "blue", "images": 1}]
    assert [failure["name"] for failure in metrics["failures"]] == ["blue/torn.jpg"]
    rows = list(csv.DictReader(Path("report/classes.csv").read_text().splitlines()))
    assert {row["class"]: row["recall"] for row in rows} == {"blue": "1.0", "green": "1.0", "red": "0.5"}
    assert sorted(p.name for p in Path("report").iterdir()) == [
        "classes.csv", "confusions.csv", "metrics.json", "report.html",
    ]  # fmt: skip
    assert [p.as_posix() for p in Path("wrong").rglob("*.png")] == ["wrong/red/blue odd.png"]
    assert hashes(photos) == before


def test_a_report_is_only_replaced_when_asked(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "photos", "-m", tiny, "-q", "-o", "report"]
    assert main(arguments) == 1
    assert main(arguments) == 2
    assert "already has a report. Use --overwrite" in capfd.readouterr().err
    assert main([*arguments, "--overwrite"]) == 1


def test_predictions_of_classify_give_the_same_figures(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", "photos", "-m", tiny, "-q", "-o", "a"])
    main(["classify", "./photos", "-r", "-m", tiny, "-q", "--top-k", "all", "-o", "x.jsonl"])
    assert main(["evaluate", "photos", "--predictions", "x.jsonl", "-q", "-o", "b"]) == 1
    first, second = read_metrics("a"), read_metrics("b")
    assert first["figures"] == second["figures"]
    assert first["images"] == second["images"]
    assert second["failures"][0]["kind"] == "CorruptImage"


def test_predictions_without_all_scores_are_refused(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    main(["classify", "photos", "-r", "-m", tiny, "-q", "--top-k", "2", "-o", "x.jsonl"])
    assert main(["evaluate", "photos", "--predictions", "x.jsonl"]) == 2
    assert "doesn't have the scores of all labels" in capfd.readouterr().err
    main(
        [
            "classify",
            "photos",
            "-r",
            "-m",
            tiny,
            "-q",
            "-k",
            "all",
            "-o",
            "y.jsonl",
            "--function-to-apply",
            "none",
        ]
    )
    assert main(["evaluate", "photos", "--predictions", "y.jsonl"]) == 2
    assert "aren't probabilities" in capfd.readouterr().err


def test_a_map_connects_classes_with_labels(
    tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "red").rename(photos / "warm")
    assert main(["evaluate", "photos", "-m", tiny, "-q", "--format", "json"]) == 1
    summary = json.loads(capfd.readouterr().out)
    assert summary["counts"]["left_out"] == 2
    assert any("'warm'" in note for note in summary["notes"])
    Path("map.csv").write_text("warm,red\n")
    main(["evaluate", "photos", "-m", tiny, "-q", "--format", "json", "--map", "map.csv"])
    assert json.loads(capfd.readouterr().out)["counts"]["evaluated"] == 5


def test_splits_are_chosen_by_an_option(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("set").mkdir()
    photos.rename("set/val")
    make_image(Path("set/train/red/a.png"), "red")
    assert main(["evaluate", "set", "-m", tiny]) == 2
    assert "has the splits train, val. Choose one with --split 'val'" in capfd.readouterr().err
    assert main(["evaluate", "set", "-m", tiny, "-q", "--split", "val"]) == 1


def test_a_comparison_says_what_changed_and_whether_it_may_be_chance(
    tiny: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = str(make_tiny_model(tmp_path / "other", labels=("blue", "green", "red")))
    main(["evaluate", "photos", "-m", tiny, "-q", "-o", "a"])
    main(["evaluate", "photos", "-m", other, "-q", "-o", "b"])
    capfd.readouterr()
    assert main(["compare", "a/metrics.json", "b"]) == 0
    said = capfd.readouterr().out
    assert "5 images in both: 2 right in both, 0 wrong in both, 1 newly right, 2 newly wrong." in said
    assert "may be due to chance (McNemar's test, p = 1.000)" in said
    assert "red/odd.png: blue → red" in said
    assert main(["compare", "a/metrics.json", "b/metrics.json", "-f", "json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [image["name"] for image in found["newly_wrong"]] == ["blue/plain.png", "red/plain.png"]


def make_mixed(folder: Path, count: int) -> None:
    """Images of mixed colours, labelled with the colour that they have most of, some of them wrongly."""
    generator = np.random.default_rng(1)
    for number in range(count):
        colour = generator.integers(0, 256, 3)
        place = int(colour.argmax()) if generator.random() < 0.8 else int(generator.integers(3))
        path = folder / ("red", "green", "blue")[place] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), tuple(colour.tolist())).save(path)


def test_calibration_is_written_into_the_card_and_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = make_tiny_model(tmp_path / "sharp", sharpness=9)
    make_mixed(Path("mixed"), 90)
    arguments = ["calibrate", str(model), "mixed", "-q", "--min-precision", "0.7"]
    assert main([*arguments, "--dry-run"]) == 0
    assert not (model / "card.json").exists()
    main(["evaluate", "mixed", "-m", str(model), "-q", "-o", "a"])
    assert main(arguments) == 0
    assert "Calibration error:" in capfd.readouterr().out
    card = json.loads((model / "card.json").read_text())
    assert card["temperature"] > 1.5
    assert set(card["thresholds"]) == {"red", "green", "blue"}
    main(["evaluate", "mixed", "-m", str(model), "-q", "-o", "b"])
    before, after = read_metrics("a"), read_metrics("b")
    assert after["figures"]["log_loss"]["value"] < before["figures"]["log_loss"]["value"]
    assert [i["predicted"] for i in after["images"]] == [i["predicted"] for i in before["images"]]


def test_wrong_usage_is_a_sentence(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["evaluate", "missing", "-m", tiny], "missing doesn't exist"),
        (["evaluate", "photos", "-m", tiny, "--predictions", "x.jsonl"], "can't be used with --model"),
        (["evaluate", "photos", "-m", tiny, "--overwrite"], "--output FOLDER"),
        (["evaluate", "photos", "-m", tiny, "--function-to-apply", "none"], "needs probabilities"),
        (["calibrate", tiny, "photos"], "images are too few"),
        (["calibrate", tiny, "photos", "--min-recall", "90"], "--min-recall 90.0 is not a share"),
    ):
        assert main(arguments) == 2
        assert message in capfd.readouterr().err


@pytest.mark.parametrize("option", ["--output", "--export-wrong"])
def test_nothing_is_written_into_the_data(
    tiny: str, photos: Path, option: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = hashes(photos)
    assert main(["evaluate", "photos", "-m", tiny, option, "photos/report"]) == 2
    assert "photos/report is in photos, where it would be taken for a class" in capfd.readouterr().err
    assert hashes(photos) == before
    assert not (photos / "report").exists()


def test_an_output_that_is_a_file_is_an_error(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("report").touch()
    assert main(["evaluate", "photos", "-m", tiny, "-o", "report"]) == 74
    assert "report is not a folder" in capfd.readouterr().err


def test_wrong_images_of_classes_with_long_names_are_copied(tiny: str, tmp_path: Path) -> None:
    make_image(tmp_path / "long" / ("猫" * 80) / "a.png", "blue")
    make_image(tmp_path / "long" / "red" / "b.png", "red")
    Path("map.csv").write_text("猫" * 80 + ",green\nred,red\n", encoding="utf-8")
    command = ["evaluate", "long", "-m", tiny, "-q", "--map", "map.csv", "--export-wrong", "wrong"]
    assert main(command) == 0
    assert [path.name for path in Path("wrong").rglob("*.png")] == ["blue a.png"]


def test_images_without_a_prediction_are_counted(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    main(["classify", "photos/red", "-r", "-m", tiny, "--top-k", "all", "-q", "-o", "red.jsonl"])
    assert main(["evaluate", "photos", "--predictions", "red.jsonl"]) == 1
    assert "Images without a prediction in the file: 4." in capfd.readouterr().err


def test_a_comparison_of_other_data_says_so(
    tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["evaluate", "photos", "-m", tiny, "-q", "-o", "a"])
    photos.rename("other")
    main(["evaluate", "other", "-m", tiny, "-q", "-o", "b"])
    capfd.readouterr()
    assert main(["compare", "a", "b"]) == 0
    assert "The data differ: photos and other." in capfd.readouterr().out
    assert main(["compare", "a", "a"]) == 0
    assert "The data differ" not in capfd.readouterr().out
