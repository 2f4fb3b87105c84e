"""Upload files: whose titles they have, and what happens above an agency's limit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from pictag.keywords import KeywordSuggestions, Suggestion
from pictag.keywords.presets import Preset, find_preset
from pictag.keywords.upload import UploadFile
from sidecars import make_sidecar
from tinymodel import make_image

CAT = Suggestion(keyword="cat", score=0.9, kind="concept", path=("animal", "cat"))
LIMITED = Preset(
    name="limited", title="An agency", columns=(("name", "filename"), ("keys", "keywords")), max_rows=2
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(names: list[str], preset: Preset = LIMITED, **options: Any) -> list[str]:
    """Write ``up.csv`` with these photographs and return the warnings."""
    warnings: list[str] = []
    upload = UploadFile(Path("up.csv"), preset, warn=warnings.append, **options)
    for name in names:
        upload.add(KeywordSuggestions(source=name, keywords=(CAT,)))
    upload.close()
    return warnings


def read(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(name).read_text("utf-8").splitlines()))


def test_rows_above_the_limit_are_in_further_files() -> None:
    warnings = write([f"{number}.jpg" for number in range(5)])
    found = [[row["name"] for row in read(name)] for name in ("up.csv", "up-2.csv", "up-3.csv")]
    assert found == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"], ["4.jpg"]]
    assert warnings == ["5 rows, but An agency takes 2 in a file: the rest is in up-2.csv, up-3.csv."]


def test_exactly_as_many_rows_as_allowed_are_one_file() -> None:
    assert write(["0.jpg", "1.jpg"]) == []
    assert [path.name for path in Path().iterdir()] == ["up.csv"]


def test_a_further_file_replaces_another_only_if_it_may() -> None:
    Path("up-2.csv").write_text("mine", encoding="utf-8")
    warnings = write(["0.jpg", "1.jpg", "2.jpg"])
    assert Path("up-2.csv").read_text("utf-8") == "mine"
    assert [row["name"] for row in read("up-3.csv")] == ["2.jpg"]
    assert "the rest is in up-3.csv" in warnings[0]
    write(["0.jpg", "1.jpg", "2.jpg"], overwrite=True)
    assert [row["name"] for row in read("up-2.csv")] == ["2.jpg"]


def test_raw_and_jpeg_of_one_shot_are_one_row_with_one_warning() -> None:
    warnings = write(["a.cr3", "a.jpg"], find_preset("pond5"))
    assert [row["originalfilename"] for row in read("up.csv")] == ["a.jpg"]
    assert warnings == [
        "a.jpg: 1 keyword, at least 5 needed: add the rest by hand; no title; no description."
    ]


def test_a_dry_run_names_the_files_but_writes_none() -> None:
    warnings = write([f"{number}.jpg" for number in range(3)], dry_run=True)
    assert "up-2.csv" in warnings[0]
    assert list(Path().iterdir()) == []


def test_photographs_are_checked_without_an_upload_file() -> None:
    warnings: list[str] = []
    checks = UploadFile(None, find_preset("alamy"), warn=warnings.append)
    checks.add(KeywordSuggestions(source="a.jpg", keywords=(CAT,)))
    checks.close()
    assert warnings == ["a.jpg: 1 keyword, at least 5 needed: add the rest by hand."]
    assert list(Path().iterdir()) == []


def test_the_generic_file_may_have_empty_titles() -> None:
    assert write(["a.jpg"], find_preset("generic")) == []


def test_an_empty_upload_file_has_its_header() -> None:
    assert write([]) == []
    assert Path("up.csv").read_text("utf-8") == "name,keys\n"


def test_a_persons_title_comes_before_one_that_is_made() -> None:
    for name in ("photos/old_harbour.jpg", "photos/other.jpg"):
        make_image(Path(name))
    title = "<dc:title><rdf:Alt><rdf:li>Rex</rdf:li></rdf:Alt></dc:title>"
    Path("photos/other.jpg.xmp").write_bytes(make_sidecar("dog", extra=title))
    write(["photos/old_harbour.jpg", "photos/other.jpg"], find_preset("pond5"), title_from="filename")
    assert [row["title"] for row in read("up.csv")] == ["old harbour", "Rex"]
    assert [row["keywords"] for row in read("up.csv")] == ["cat", "dog, cat"]


def test_metadata_that_cannot_be_read_is_named() -> None:
    make_image(Path("a.jpg"))
    Path("a.jpg.xmp").write_text("<broken", encoding="utf-8")
    warnings = write(["a.jpg", "https://example.org/b.jpg"])
    assert len(warnings) == 1
    assert warnings[0].startswith("The keywords and title of a.jpg are left out: ")
    assert [row["name"] for row in read("up.csv")] == ["a.jpg", "b.jpg"]
