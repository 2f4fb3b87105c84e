"""The photographs in folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pictag.gallery.scan import ListedFile, ScanNotes, scan
from pictag.images import Failed


def list_names(root: Path, *exclude: str) -> list[str]:
    found = list(scan(str(root), ScanNotes(), exclude=exclude))
    assert all(isinstance(entry, ListedFile) for entry in found)
    return [os.path.relpath(entry.name, root) for entry in found]


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_images_are_found_in_natural_order(tmp_path: Path) -> None:
    make(tmp_path, "10.jpg", "2.jpg", "b/1.png", "a/1.webp", "notes.txt")
    assert list_names(tmp_path) == ["2.jpg", "10.jpg", "a/1.webp", "b/1.png"]


def test_hidden_files_and_folders_of_other_programs_are_skipped(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", ".b.jpg", ".trash/c.jpg", "@eaDir/d.jpg", "node_modules/e/f.jpg")
    assert list_names(tmp_path) == ["a.jpg"]


def test_patterns_exclude_by_name_and_by_path(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.png", "screenshots/b.jpg", "trip/private/c.jpg", "private/d.jpg")
    assert list_names(tmp_path, "*.png", "screenshots", "trip/private/") == ["a.jpg", "private/d.jpg"]


def test_a_raw_file_with_a_jpeg_beside_it_is_not_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.NEF", "b.cr2")
    notes = ScanNotes()
    assert len(list(scan(str(tmp_path), notes))) == 1
    assert notes.raw_count == 1


def test_a_sidecar_belongs_to_its_image(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.jpg", "c.jpg", "a.jpg.xmp", "b.XMP")
    sidecars = [
        bool(entry.sidecars) for entry in scan(str(tmp_path), ScanNotes()) if isinstance(entry, ListedFile)
    ]
    assert sidecars == [True, True, False]


def test_what_cant_be_read_is_noted_and_the_rest_goes_on(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "z/b.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    notes = ScanNotes()
    found = list(scan(str(tmp_path), notes))
    assert [type(entry) for entry in found] == [ListedFile, Failed, ListedFile]
    assert notes.unreadable == {str(tmp_path / "broken.jpg")}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_root_without_images_is_noted(tmp_path: Path, is_there: bool) -> None:
    root, notes = tmp_path / "disk", ScanNotes()
    if is_there:
        root.mkdir()
    found = list(scan(str(root), notes))
    assert len(found) == (not is_there)
    assert (notes.empty_roots or notes.unreadable) == {str(root)}


def test_a_folder_that_links_lead_to_again_is_read_once(tmp_path: Path) -> None:
    make(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert list_names(tmp_path) == ["a/b.jpg"]
