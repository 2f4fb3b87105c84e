"""``pictag explain``: heatmaps as files, and a row about each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cli.conftest import Pictag
from pictag.cli import main
from tinymodel import make_image


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with red.png and blue.jpg, and the working folder above it."""
    monkeypatch.chdir(tmp_path)
    make_image(tmp_path / "photos" / "red.png", "red")
    make_image(tmp_path / "photos" / "blue.jpg", "blue")
    return tmp_path / "photos"


def run(model: str, *arguments: str) -> int:
    return main(["explain", "--model", model, "-q", *arguments])


def test_one_image_gives_one_heatmap_and_a_row(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(tiny, "photos/red.png", "-o", "heat.png") == 0
    row = json.loads(capfd.readouterr().out)
    assert row["score"] == pytest.approx(0.9, abs=0.1)
    del row["score"]
    assert row == {
        "source": "photos/red.png",
        "label": "red",
        "index": 0,
        "method": "activation",
        "seen": 1.0,
        "heatmap": "heat.png",
    }
    with Image.open("heat.png") as image:
        assert image.format == "PNG"
        assert image.width >= 640


def test_a_folder_gives_a_heatmap_for_each_image(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    assert run(tiny, "photos", "-o", "maps", "--label", "green", "--method", "occlusion") == 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "blue-explained.png",
        "red-explained.png",
    ]


def test_an_image_that_fails_fails_alone(tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (photos / "torn.jpg").write_bytes(b"no image")
    assert run(tiny, "photos") == 1
    rows = {row["source"]: row for row in map(json.loads, capfd.readouterr().out.splitlines())}
    assert rows["photos/torn.jpg"]["error"]["kind"] == "NotAnImage"
    assert rows["photos/red.png"]["heatmap"] == "red-explained.png"


def test_a_heatmap_is_only_replaced_when_asked(
    tiny: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "heat.png").write_bytes(b"mine")
    (tmp_path / "red-explained.png").write_bytes(b"mine")
    assert run(tiny, "photos/red.png", "-o", "heat.png") == 2
    assert "already exists. Use --overwrite" in capfd.readouterr().err
    assert run(tiny, "photos") == 1  # blue.jpg has its heatmap
    assert (tmp_path / "blue-explained.png").is_file()
    assert (tmp_path / "heat.png").read_bytes() == (tmp_path / "red-explained.png").read_bytes() == b"mine"
    assert run(tiny, "photos", "--overwrite") == 0
    assert (tmp_path / "red-explained.png").read_bytes() != b"mine"


def test_images_of_the_same_name_have_numbered_heatmaps(
    tiny: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_image(photos / "other" / "red.png", "green")
    assert run(tiny, "photos", "--recursive") == 0
    rows = {row["source"]: row for row in map(json.loads, capfd.readouterr().out.splitlines())}
    named = {rows[name]["heatmap"] for name in ("photos/red.png", "photos/other/red.png")}
    assert named == {"red-explained.png", "red-explained-2.png"}
    assert all(Path(name).is_file() for name in named)


def test_several_images_never_share_one_file(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(tiny, "photos", "-o", "heat.png") == 1
    assert "has the heatmap of another image. Use a folder" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["x" * 251, "\u00e4" * 125, "-dash", "new\nline"])
def test_the_name_of_any_image_gives_the_name_of_a_heatmap(
    tiny: str, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make_image(tmp_path / f"{name}.png")
    assert run(tiny, "--", f"{name}.png") == 0
    assert Path(json.loads(capfd.readouterr().out)["heatmap"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "purple"], "The model has no label 'purple'"),
        (["--output", "missing"], "missing doesn't exist. Create it first"),
        (["--output", "photos/red.png/heat"], "photos/red.png/heat doesn't exist"),
        (["--format", "csv"], "csv"),
    ],
)
def test_wrong_usage_is_named_before_anything_is_written(
    tiny: str, tmp_path: Path, arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, "photos/red.png", *arguments) == 2
    assert message in capfd.readouterr().err
    assert [path.name for path in tmp_path.glob("*.png")] == []


def test_the_table_has_the_label_and_what_the_model_saw(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(tiny, "photos/red.png", "--format", "table") == 0
    shown = capfd.readouterr().out
    assert "red  9" in shown
    assert "class activation map" in shown
    assert "red-explained.png" in shown


def test_standard_input_is_explained(pictag: Pictag, tiny: str, photos: Path, tmp_path: Path) -> None:
    done = pictag("explain", "-", "-m", tiny, stdin=(photos / "red.png").read_bytes())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] == "red"
    assert (tmp_path / json.loads(done.stdout)["heatmap"]).is_file()
