"""``pictag index`` and ``pictag gallery``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Pictag
from pictag.cli import main
from pictag.gallery import Gallery
from tinymodel import make_image, make_tiny_model

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with red.png and blue.jpg; the working folder above it, and a library of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PICTAG_LIBRARY", str(tmp_path / "data" / "gallery.db"))
    make_image(tmp_path / "photos" / "red.png", "red")
    make_image(tmp_path / "photos" / "blue.jpg", "blue")
    return tmp_path / "photos"


@pytest.fixture
def indexed(tiny: str, capfd: Captured) -> None:
    assert main(["index", "photos", "--model", tiny]) == 0
    capfd.readouterr()


def test_a_run_says_what_it_found(tiny: str, photos: Path, capfd: Captured) -> None:
    assert main(["index", "photos", "--model", tiny]) == 0
    assert capfd.readouterr().err == "pictag: 2 images: 2 new, 0 unchanged.\n"
    (photos / "red.png").rename(photos / "green.png")
    make_image(photos / "new.png", "green", size=(5, 5))
    (photos / "shot.nef").write_bytes(b"raw")
    assert main(["index"]) == 0  # the library's folders and its model
    assert capfd.readouterr().err == (
        "pictag: 3 images: 1 new, 1 unchanged, 1 moved, copied or edited, 1 gone. 1 camera RAW file without "
        "a JPEG skipped.\n"
    )
    assert main(["index", "-q"]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_failed_image_is_named_and_retried_on_request(tiny: str, photos: Path, capfd: Captured) -> None:
    (photos / "red.png").write_bytes(b"nothing")
    assert main(["index", "photos", "--model", tiny]) == 1
    assert "red.png: this is not a known image format" in capfd.readouterr().err
    assert main(["index"]) == 0
    assert main(["index", "--retry-failed"]) == 1


def test_a_missing_disk_is_reported_and_loses_nothing(indexed: None, photos: Path, capfd: Captured) -> None:
    photos.rename("unplugged")
    assert main(["index"]) == 1
    stated = capfd.readouterr().err
    assert f"{photos}: the folder could not be read: No such file or directory." in stated
    assert "is its disk connected?). Its 2 images stay in the library." in stated
    assert "pictag: 0 images: 0 new, 0 unchanged, 1 folder unreadable." in stated
    with Gallery.open("data/gallery.db") as gallery:
        assert gallery.status()["files"] == 2


def test_another_model_is_announced(indexed: None, tmp_path: Path, photos: Path, capfd: Captured) -> None:
    other = make_tiny_model(tmp_path / "other", labels=("rot", "grün", "blau"))
    make_image(tmp_path / "more" / "red.png", "red", size=(20, 20))
    assert main(["index", "more"]) == 0
    assert main(["index", "more", "--model", str(other)]) == 0
    stated = capfd.readouterr().err
    assert f"Model: {other} instead of" in stated
    assert "2 images of other folders have the labels of another model." in stated


def test_decisions_are_made_exported_and_imported(
    indexed: None, photos: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["gallery", "confirm", "photos/red.png", "red"]) == 0
    assert main(["gallery", "reject", "photos/red.png", "green", "blue"]) == 0
    assert main(["gallery", "add", "photos/red.png", "Aunt Mary"]) == 0
    assert main(["gallery", "forget", "photos/red.png", "blue"]) == 0
    assert capfd.readouterr().err.splitlines()[0] == "pictag: photos/red.png: red: confirmed."
    assert main(["gallery", "export"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(row["word"], row["verdict"]) for row in rows] == [
        ("Aunt Mary", "added"), ("green", "rejected"), ("red", "confirmed")
    ]  # fmt: skip
    assert {row["path"] for row in rows} == {str(photos / "red.png")}
    assert main(["gallery", "export", "-o", "decisions.jsonl"]) == 0
    assert main(["gallery", "import", "decisions.jsonl", "--library", "other.db"]) == 0
    assert "3 decisions imported, 0 already known or older." in capfd.readouterr().err
    assert main(["gallery", "export", "--library", "other.db"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 3


def test_the_status_is_shown_as_a_table_and_as_json(indexed: None, photos: Path, capfd: Captured) -> None:
    assert main(["gallery", "status"]) == 0
    assert f"folders       {photos}" in capfd.readouterr().out
    assert main(["gallery", "status", "--format", "json"]) == 0
    status = json.loads(capfd.readouterr().out)
    assert (status["folders"], status["files"], status["failed"]) == ([str(photos)], 2, 0)


def test_a_folder_is_removed(indexed: None, photos: Path, capfd: Captured) -> None:
    assert main(["gallery", "remove", "photos"]) == 0
    assert "2 images removed from the library; the files are unchanged." in capfd.readouterr().err
    assert (photos / "red.png").exists()
    assert main(["index"]) == 2
    assert "The library has no folders yet." in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["index"], 2, "There is no library at"),
        (["gallery", "confirm", "photos/red.png", "red"], 2, "Create one with: pictag index FOLDER"),
        (["gallery", "import", "missing.jsonl"], 2, "Cannot read missing.jsonl"),
        (["index", "photos/red.png"], 2, "is a file. Give the folder that it is in."),
        (["gallery", "status", "--library", "photos/red.png"], 2, "is not a library of pictag"),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: list[str], status: int, message: str, capfd: Captured
) -> None:
    assert main(arguments) == status
    stated = capfd.readouterr().err
    assert message in stated
    assert stated.count("\n") == 1


def test_an_import_of_nothing_makes_no_library(photos: Path, capfd: Captured) -> None:
    assert main(["gallery", "import", "missing.jsonl", "--library", "new.db"]) == 2
    assert not Path("new.db").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_library_on_a_full_disk_has_its_own_exit_status(
    tiny: str, photos: Path, tmp_path: Path, pictag: Pictag
) -> None:
    assert pictag("index", "photos", "--model", tiny).returncode == 0
    for number in range(40):
        make_image(photos / f"{number}.png", "red", size=(number + 20, 20))
    limited = run_with_size_limit("index", folder=tmp_path)
    assert limited.returncode == 74
    assert b"pictag: " in limited.stderr
    assert b"Traceback" not in limited.stderr
    assert pictag("index").returncode == 0


def run_with_size_limit(*arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run pictag with a limit on the size of files, which fails like a full disk."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); "
        "from pictag.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, timeout=60, check=False
    )
