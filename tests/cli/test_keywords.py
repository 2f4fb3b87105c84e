"""``pictag keywords``, from the photographs to the files."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pictag.cli import main
from pictag.metadata import read_keywords
from tinymodel import make_image, make_tiny_model

WORDS = ["tabby cat", "cat", "pet", "mammal", "animal"]


@pytest.fixture(scope="session")
def cats(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model: a red image is a tabby, a green one a tiger cat, a blue one a banana."""
    folder = tmp_path_factory.mktemp("model") / "cats"
    return str(make_tiny_model(folder, labels=("n02123045", "n02123159", "n07753592")))


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with red.png and blue.jpg, and the working folder above it."""
    monkeypatch.chdir(tmp_path)
    make_image(tmp_path / "photos" / "red.png", "red")
    make_image(tmp_path / "photos" / "blue.jpg", "blue")
    return tmp_path / "photos"


def run(model: str, *arguments: str) -> int:
    return main(["keywords", "--model", model, "-q", *arguments])


def read_rows(text: str) -> dict[str, list[str]]:
    rows = map(json.loads, text.splitlines())
    return {row["source"]: [entry["keyword"] for entry in row["keywords"]] for row in rows}


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_row_per_photograph_and_nothing_written(
    cats: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = hashes(photos)
    assert run(cats, "photos") == 0
    found = read_rows(capfd.readouterr().out)
    assert found["photos/red.png"] == WORDS
    assert found["photos/blue.jpg"][0] == "banana"
    assert hashes(photos) == before


def test_the_table_says_why(cats: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(cats, "photos/red.png", "--format", "table", "--add", "Iceland") == 0
    shown = capfd.readouterr().out
    assert "given with --add" in shown
    assert "label 'n02123045'" in shown
    assert "concept: n02123045" in shown


def test_sidecars_are_written_replaced_and_undone(cats: str, photos: Path) -> None:
    before = hashes(photos)
    assert run(cats, "photos", "--xmp", "--add", "Iceland") == 0
    assert read_keywords(photos / "red.png").subject == ("Iceland", *WORDS)
    assert run(cats, "photos", "--xmp", "--max-keywords", "1") == 0
    assert read_keywords(photos / "red.png").subject == ("tabby cat",)
    assert {name: value for name, value in hashes(photos).items() if not name.endswith(".xmp")} == before
    assert main(["keywords", "--undo", "photos", "-q"]) == 0
    assert hashes(photos) == before


def test_a_dry_run_writes_nothing(cats: str, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = hashes(photos)
    assert run(cats, "photos", "--xmp", "--csv", "a.csv", "--dry-run") == 0
    assert read_rows(capfd.readouterr().out)["photos/red.png"] == WORDS
    assert hashes(photos) == before
    assert not Path("a.csv").exists()
    run(cats, "photos", "--xmp")
    written = hashes(photos)
    assert main(["keywords", "--undo", "photos", "--dry-run"]) == 0
    assert "would change photos/red.png.xmp" in capfd.readouterr().out
    assert hashes(photos) == written


def test_the_name_of_new_sidecars_can_be_chosen(cats: str, photos: Path) -> None:
    assert run(cats, "photos/red.png", "--xmp", "--sidecar", "stem") == 0
    assert (photos / "red.xmp").exists()


def test_a_sidecar_that_cannot_be_read_fails_alone(
    cats: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "red.png.xmp").write_text("<broken", encoding="utf-8")
    assert main(["keywords", "photos", "-m", cats, "--xmp", "-o", "rows.jsonl"]) == 1
    rows = {row["source"]: row for row in map(json.loads, Path("rows.jsonl").read_text("utf-8").splitlines())}
    assert rows["photos/red.png"]["error"]["kind"] == "MetadataError"
    assert read_keywords(photos / "blue.jpg").subject[0] == "banana"
    assert "red.png.xmp" in capfd.readouterr().err
    assert (photos / "red.png.xmp").read_text("utf-8") == "<broken"


def test_an_upload_file_has_peoples_keywords_first(
    cats: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(cats, "photos/red.png", "--xmp")
    sidecar = photos / "red.png.xmp"
    text = sidecar.read_text("utf-8").replace(
        "<rdf:li>tabby cat</rdf:li>", "<rdf:li>Minka</rdf:li>\n     <rdf:li>tabby cat</rdf:li>", 1
    )
    sidecar.write_text(text, encoding="utf-8")
    assert (
        main(["keywords", "photos", "-m", cats, "--csv", "up.csv", "--preset", "adobe-stock",
              "--title-from", "folder", "--format", "jsonl"]) == 0
    )  # fmt: skip
    lines = Path("up.csv").read_text("utf-8").splitlines()
    rows = {row["Filename"]: row for row in csv.DictReader(lines)}
    assert rows["red.png"]["Keywords"].split(", ")[:2] == ["Minka", "tabby cat"]
    assert rows["red.png"]["Title"] == "photos"
    assert rows["blue.jpg"]["Category"] == "7"
    assert "15–35 recommended" in capfd.readouterr().err


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs the program exiftool")
def test_an_upload_file_has_the_titles_and_categories_that_exiftool_wrote(cats: str, photos: Path) -> None:
    fields = {
        "red.png": ["-XMP-dc:Title=Minka", "-XMP-dc:Subject=Minka", "-XMP-dc:Description=Our cat"],
        "blue.jpg": [
            *("-IPTC:ObjectName=Lunch", "-IPTC:Keywords=picnic"),
            "-IPTC:SupplementalCategories=the arts",
        ],
    }
    for name, values in fields.items():
        subprocess.run(["exiftool", "-q", "-overwrite_original", *values, photos / name], check=True)
    make_image(photos / "plain.png", "green")
    for preset in ("pond5", "shutterstock"):
        assert (
            run(cats, "photos", "--csv", f"{preset}.csv", "--preset", preset, "--title-from", "filename") == 0
        )
    with Path("pond5.csv").open(encoding="utf-8", newline="") as stream:
        found = {row["originalfilename"]: row for row in csv.DictReader(stream)}
    assert {name: (row["title"], row["description"]) for name, row in found.items()} == {
        "red.png": ("Minka", "Our cat"),
        "blue.jpg": ("Lunch", "Lunch"),
        "plain.png": ("plain", "plain"),
    }
    assert found["red.png"]["keywords"].startswith("Minka, tabby cat, ")
    assert found["blue.jpg"]["keywords"].startswith("picnic, banana, ")
    with Path("shutterstock.csv").open(encoding="utf-8", newline="") as stream:
        categories = {row["Filename"]: row["Categories"] for row in csv.DictReader(stream)}
    assert categories == {
        "red.png": "Animals/Wildlife",
        "blue.jpg": "The Arts",
        "plain.png": "Animals/Wildlife",
    }


def test_an_existing_upload_file_is_kept(cats: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("up.csv").write_text("mine", encoding="utf-8")
    assert run(cats, "photos", "--csv", "up.csv") == 2
    assert "--overwrite" in capfd.readouterr().err
    assert Path("up.csv").read_text("utf-8") == "mine"
    assert run(cats, "photos", "--csv", "up.csv", "--overwrite") == 0
    assert Path("up.csv").read_text("utf-8").startswith("filename,title")


def test_a_run_is_resumed_with_its_upload_file(cats: str) -> None:
    assert run(cats, "photos/red.png", "-o", "rows.jsonl") == 0
    with Path("rows.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"source": "photos/torn')
    assert run(cats, "photos", "-o", "rows.jsonl", "--resume", "--csv", "up.csv") == 0
    assert sorted(read_rows(Path("rows.jsonl").read_text("utf-8"))) == ["photos/blue.jpg", "photos/red.png"]
    assert len(Path("up.csv").read_text("utf-8").splitlines()) == 3


def test_links_and_permissions_of_output_files_are_kept(cats: str) -> None:
    for name in ("up.csv", "rows.jsonl"):
        real = Path("real") / name
        real.parent.mkdir(exist_ok=True)
        real.touch()
        real.chmod(0o600)
        Path(name).symlink_to(real)
    assert run(cats, "photos", "-o", "rows.jsonl", "--csv", "up.csv", "--overwrite") == 0
    assert run(cats, "photos", "-o", "rows.jsonl", "--csv", "up.csv", "--resume") == 0
    for name in ("up.csv", "rows.jsonl"):
        assert Path(name).is_symlink(), name
        assert (Path("real") / name).stat().st_mode & 0o777 == 0o600, name
        assert (Path("real") / name).stat().st_size > 100, name


def test_files_that_cannot_be_replaced_are_refused_at_once(
    cats: str, capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe")
    assert run(cats, "photos", "--csv", "pipe", "--overwrite") == 2
    assert "pipe is not a regular file" in capfd.readouterr().err
    assert run(cats, "photos", "-o", "pipe", "--format", "jsonl", "--resume") == 2
    assert "pipe is not a regular file" in capfd.readouterr().err
    assert Path("pipe").is_fifo()


def test_a_run_is_not_resumed_with_another_choice(cats: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(cats, "photos", "-o", "rows.jsonl") == 0
    assert run(cats, "photos", "-o", "rows.jsonl", "--resume", "--min-score", "0.5") == 2
    assert "label_cut" in capfd.readouterr().err


def test_failed_photographs_are_tried_again(cats: str, photos: Path) -> None:
    (photos / "torn.png").write_bytes(b"")
    assert run(cats, "photos", "-o", "rows.jsonl") == 1
    make_image(photos / "torn.png", "green")
    assert run(cats, "photos", "-o", "rows.jsonl", "--resume", "--retry-failed") == 0
    assert read_rows(Path("rows.jsonl").read_text("utf-8"))["photos/torn.png"][0] == "tiger cat"


def test_the_vocabulary_can_be_exported_and_used(cats: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["keywords", "--export-vocabulary"]) == 0
    exported = capfd.readouterr().out
    assert "animal\n" in exported
    Path("own.txt").write_text(exported, encoding="utf-8")
    assert run(cats, "photos/red.png", "--vocabulary", "own.txt") == 0
    assert read_rows(capfd.readouterr().out)["photos/red.png"] == WORDS


def test_guessed_cuts_are_named(cats: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["keywords", "-m", cats, "photos/red.png"]) == 0
    assert "Set your own with --min-score" in capfd.readouterr().err
    assert main(["keywords", "-m", cats, "photos/red.png", "--min-score", "0.5"]) == 0
    assert "--min-score" not in capfd.readouterr().err


def test_the_default_model_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["keywords", "photos/red.png"]) == 0
    assert "Model: " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "--sidecar", "full"], "--sidecar needs --xmp"),
        (["photos", "--no-backup"], "--no-backup needs --embed"),
        (["photos", "--title-from", "folder"], "--title-from needs --csv"),
        (["photos", "-o", "rows.csv"], "For an agency's CSV file use --csv"),
        (["photos", "--preset", "alamy", "--csv", "a.csv"], "Use --embed"),
        (["photos", "--vocabulary", "missing.txt"], "Cannot read the vocabulary"),
        (["photos", "--add", "a, b"], "can't be used as it is"),
        ([], "Give an image"),
        (["--undo", "missing"], "doesn't exist"),
    ],
)
def test_wrong_usage_is_explained(
    cats: str, arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(cats, *arguments) == 2
    assert message in capfd.readouterr().err


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs the program exiftool")
def test_keywords_inside_an_image_are_undone(cats: str, photos: Path) -> None:
    before = hashes(photos)
    assert run(cats, "photos/blue.jpg", "--embed", "--add", "Iceland") == 0
    assert read_keywords(photos / "blue.jpg").subject[:2] == ("Iceland", "banana")
    assert hashes(photos)["blue.jpg_original"] == before["blue.jpg"]
    assert main(["keywords", "--undo", "photos", "-q"]) == 0
    assert read_keywords(photos / "blue.jpg").subject == ()
