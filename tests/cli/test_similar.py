"""``pictag similar`` and ``pictag duplicates``, from the library to the output."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cli.conftest import Pictag
from pictag.cli import main


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: str) -> str:
    """A library of red.png, a copy of it, darkred.png and blue.jpg; the working folder is above them."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name, colour in (("red.png", "red"), ("darkred.png", "#a00030"), ("blue.jpg", "blue")):
        Image.new("RGB", (12, 9), colour).save(Path("photos") / name)
    shutil.copy("photos/red.png", "photos/copy.png")
    assert main(["index", "photos", "--library", "g.db", "-m", tiny, "-q"]) == 0
    return "g.db"


def test_similar_images_as_rows(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", "photos/red.png", "--library", library, "-k", "2"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["darkred.png", "blue.jpg"]
    assert rows[0]["score"] > rows[1]["score"]
    assert rows[0]["labels"][0].keys() >= {"label", "score"}


def test_similar_images_as_paths_and_as_a_table(
    library: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["similar", "photos/red.png", "--library", library, "-k", "1", "-0"]) == 0
    assert capfdbinary.readouterr().out == os.fsencode(Path("photos/darkred.png").resolve()) + b"\0"
    assert main(["similar", "photos/red.png", "--library", library, "--format", "table"]) == 0
    assert b"photos/darkred.png" in capfdbinary.readouterr().out


def test_a_photo_outside_the_library_is_classified(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (12, 9), "navy").save("navy.png")
    assert main(["similar", "navy.png", "--library", library, "-k", "1", "--format", "paths"]) == 0
    assert capfd.readouterr().out.endswith("blue.jpg\n")


def test_a_photo_from_standard_input_is_classified(library: str, pictag: Pictag) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (12, 9), "navy").save(stream, "PNG")
    done = pictag(
        "similar", "-", "--library", library, "-k", "1", "--format", "paths", stdin=stream.getvalue()
    )
    assert done.stdout.endswith(b"blue.jpg\n"), done.stderr
    done = pictag("similar", "-", "--library", library)
    assert done.returncode == 2
    assert b"empty" in done.stderr


def test_a_photo_that_cannot_be_read_is_a_sentence(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", "missing.jpg", "--library", library]) == 2
    assert "missing.jpg" in capfd.readouterr().err
    assert main(["similar", "photos", "--library", library]) == 2
    assert "folder" in capfd.readouterr().err


def test_without_a_library_the_command_that_makes_one_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for command in (["similar", "a.jpg"], ["duplicates"]):
        assert main([*command, "--library", str(tmp_path / "none.db")]) == 2
        assert "pictag index" in capfd.readouterr().err


def test_duplicates_as_rows(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["duplicates", "photos", "--library", library]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert rows[0]["kind"] == "same"
    assert [Path(path).name for path in rows[0]["files"]] == ["red.png", "copy.png"]
    assert rows[0]["keep"] == rows[0]["files"][0]
    assert "identical" in rows[0]["reason"]


def test_duplicate_paths_leave_out_the_file_to_keep(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["duplicates", "--library", library, "--format", "paths"]) == 0
    names = [Path(line).name for line in capfd.readouterr().out.splitlines()]
    assert "copy.png" in names
    assert "red.png" not in names


def test_the_table_of_duplicates_says_which_file_to_keep(
    library: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["duplicates", "--library", library, "--format", "table"]) == 0
    captured = capfd.readouterr()
    assert "keep  photos/red.png" in captured.out
    assert "1 group of 2 files with the same pixels" in captured.err


def test_dismissed_duplicates_are_not_shown_again(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["duplicates", "--dismiss", "photos/red.png", "photos/copy.png", "--library", library]) == 0
    assert "Dismissed" in capfd.readouterr().err
    assert main(["duplicates", "--library", library]) == 0
    assert '"same"' not in capfd.readouterr().out
    assert main(["duplicates", "--dismiss", "photos/red.png", "--library", library]) == 2
    assert "at least two" in capfd.readouterr().err
