"""``pictag teach``, from folders, a CSV and a library to a model folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blockimages import make_block_image, make_classes
from pictag.cli import main
from pictag.gallery import Gallery
from pictag.models.load import load_model
from pictag.models.reference import parse_reference


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The classes warm and cold, in the working folder."""
    monkeypatch.chdir(tmp_path)
    return make_classes(tmp_path / "photos")


def test_teach_classify_and_evaluate(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["teach", "photos", "--base", tiny, "-o", "mine"]) == 0
    shown = capfd.readouterr().out
    assert "the largest class is 50.0%" in shown
    assert "16 with 2 labels" in shown
    make_block_image(2, 99).save("new.png")
    assert main(["classify", "new.png", "--model", "mine", "-k", "1"]) == 0
    assert json.loads(capfd.readouterr().out)["labels"][0]["label"] == "cold"
    assert main(["evaluate", "photos", "--model", "mine", "--format", "json", "-q"]) == 0
    assert json.loads(capfd.readouterr().out)["figures"]["top1"]["value"] > 0.9
    assert main(["models", "inspect", "mine"]) == 0
    assert "from tiny, with 16 images; accuracy" in capfd.readouterr().out


def test_json_and_unreadable_images(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (photos / "cold" / "broken.jpg").write_bytes(b"no image")
    assert main(["teach", "photos", "--base", tiny, "-o", "mine", "--format", "json"]) == 1
    captured = capfd.readouterr()
    report = json.loads(captured.out)
    assert report["images"] == {"cold": 8, "warm": 8}
    assert [failure["name"] for failure in report["failures"]] == ["cold/broken.jpg"]
    assert "broken.jpg" in captured.err
    assert Path("mine", "config.json").is_file()


def test_update_with_a_new_class(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_classes(Path("more"), names=("fresh",))
    assert main(["teach", "photos", "--base", tiny, "-o", "mine", "-q"]) == 0
    assert main(["teach", "more", "--update", "mine", "-o", "mine", "--overwrite", "-q"]) == 0
    assert load_model(parse_reference(Path("mine"))).labels == ("cold", "fresh", "warm")


def test_the_decisions_of_a_library(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "photos", "--model", tiny, "--library", "library.db", "-q"]) == 0
    with Gallery.open("library.db") as gallery:
        for number in range(8):
            gallery.add(f"photos/warm/{number}.png", "sunset")
            gallery.add(f"photos/cold/{number}.png", "winter")
        gallery.add("photos/cold/0.png", "Sunset")
        gallery.reject("photos/cold/0.png", "Sunset")
    assert main(["teach", "--from-library", "library.db", "--base", tiny, "-o", "mine", "-q"]) == 0
    model = load_model(parse_reference(Path("mine")))
    assert model.labels == ("sunset", "winter")
    assert model.problem_type == "single_label_classification"
    # An image that is only known not to be a sunset makes each label a question of its own.
    with Gallery.open("library.db") as gallery:
        gallery.forget("photos/cold/0.png", "winter")
    command = ["teach", "--from-library", "library.db", "--base", tiny, "-o", "mine", "--overwrite", "-q"]
    assert main(command) == 0
    assert load_model(parse_reference(Path("mine"))).problem_type == "multi_label_classification"


def test_a_library_without_decisions(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "photos", "--model", tiny, "--library", "library.db", "-q"]) == 0
    assert main(["teach", "--from-library", "library.db", "--base", tiny, "-o", "mine"]) == 2
    assert "no decisions to learn from" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-o", "mine"], "either DATA"),
        (["photos", "--from-library", "library.db", "-o", "mine"], "either DATA"),
        (["photos", "--update", "mine", "--base", "embedded", "-o", "new"], "Leave out --base"),
        (["photos", "-o", "photos"], "contains the model or the images"),
        (["missing", "-o", "mine"], "doesn't exist"),
        (["photos/warm", "-o", "mine"], "has no folders"),
    ],
)
def test_what_cant_be_done_is_explained_before_anything_is_read(
    photos: Path, arguments: list[str], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["teach", *arguments]) == 2
    assert reason in capfd.readouterr().err
    assert not Path("mine").exists()


def test_labels_that_cant_be_told_apart(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(24):
        folder = Path("random", "heads" if number * 7 % 13 % 2 else "tails")
        folder.mkdir(parents=True, exist_ok=True)
        make_block_image(number % 3, number).save(folder / f"{number}.png")
    assert main(["teach", "random", "--base", tiny, "-o", "mine"]) == 2
    assert "Nothing was written" in capfd.readouterr().err
    assert not Path("mine").exists()
