"""Duplicates: groups, the file to keep, and groups that people dismissed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from gallery.conftest import Classifier
from libraries import Entry, make_library
from pictag.errors import OptionError, PictagWarning
from pictag.gallery import Gallery
from pictag.gallery.decisions import export_decisions, import_decisions
from pictag.gallery.duplicates import DuplicateGroup

Make = Callable[..., Gallery]
SAME, OTHER = b"1" * 32, b"2" * 32
BASE, FAR = 0x1E2D4B8778B4D2E1, 0x6699CC3333CC9966  # hashes of images with much structure


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Make a library of entries."""
    made: list[Gallery] = []

    def open_library(*entries: Entry) -> Gallery:
        made.append(make_library(tmp_path / "gallery.db", entries))
        return made[-1]

    yield open_library
    for gallery in made:
        gallery.close()


def summarize(groups: Sequence[DuplicateGroup]) -> list[tuple[str, list[str]]]:
    return [(group.kind, [Path(path.decode()).name for path in group.files]) for group in groups]


def test_files_with_the_same_pixels_are_one_group(make: Make) -> None:
    gallery = make(
        Entry(path="/photos/b.jpg", pixels=SAME),
        Entry(path="/photos/a.jpg", pixels=SAME),
        Entry(path="/photos/c.jpg", pixels=OTHER),
    )
    assert summarize(gallery.duplicates(only_present=False)) == [("same", ["a.jpg", "b.jpg"])]


@pytest.mark.parametrize(
    ("kept", "other", "reason"),
    [
        ({"width": 1000, "height": 800}, {"type": "png", "size": 999_999}, "most pixels (0.8 megapixels)"),
        ({"type": "png"}, {"size": 999_999}, "lossless"),
        ({"size": 70_000}, {"taken": "2001-01-01T00:00:00"}, "largest file"),
        ({"taken": "2001-01-01T00:00:00", "path": "/photos/longer.jpg"}, {}, "oldest"),
        ({"path": "/photos/z.jpg"}, {"path": "/photos/a (copy).jpg"}, "shortest name"),
        ({"path": "/photos/a.jpg"}, {}, "path comes first"),
    ],
)
def test_the_file_to_keep_is_suggested_with_the_reason(
    make: Make, kept: dict[str, Any], other: dict[str, Any], reason: str
) -> None:
    gallery = make(
        replace(Entry(path="/photos/y.jpg", hash=BASE, mirrored_hash=FAR), **other),
        replace(Entry(path="/photos/x.jpg", hash=BASE, mirrored_hash=FAR), **kept),
    )
    (group,) = gallery.duplicates(only_present=False)
    assert group.keep.decode() == kept.get("path", "/photos/x.jpg") == group.files[0].decode()
    assert reason in group.reason


def test_a_near_group_has_one_file_of_those_with_the_same_pixels(make: Make) -> None:
    gallery = make(
        Entry(path="/photos/a.jpg", pixels=SAME, hash=BASE, mirrored_hash=FAR),
        Entry(path="/photos/b.jpg", pixels=SAME, hash=BASE, mirrored_hash=FAR),
        Entry(path="/photos/small.jpg", pixels=OTHER, width=50, height=40, hash=BASE ^ 3, mirrored_hash=FAR),
    )
    assert summarize(gallery.duplicates(only_present=False)) == [
        ("same", ["a.jpg", "b.jpg"]),
        ("near", ["a.jpg", "small.jpg"]),
    ]


def test_the_reason_says_what_shows_that_images_are_near(make: Make) -> None:
    vector = np.array([1, 0, 0], np.float32)
    gallery = make(
        Entry(path="/photos/a.jpg", width=900, hash=BASE, mirrored_hash=FAR, embedding=vector),
        Entry(
            path="/photos/b.jpg",
            hash=BASE ^ 0b11,
            mirrored_hash=FAR,
            embedding=np.array([0, 1, 0], np.float32),
        ),
        Entry(path="/photos/c.jpg", hash=FAR, mirrored_hash=BASE, embedding=np.array([0, 0, 1], np.float32)),
        Entry(
            path="/photos/d.jpg", hash=~BASE, mirrored_hash=~FAR, embedding=np.array([1, 0.1, 0], np.float32)
        ),
    )
    (group,) = gallery.duplicates(only_present=False)
    assert summarize([group]) == [("near", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])]
    assert group.reason.startswith(
        "nearly the same: 1 by hash (at most 2 of 64 bits differ), 1 mirrored, "
        "1 by content (cosine at least 1.00); keep the first: it has the most pixels"
    )


def test_files_that_are_gone_are_in_no_group(make: Make) -> None:
    gallery = make(*(Entry(path=f"/photos/{name}.jpg", pixels=SAME) for name in "ab"))
    gallery.connection.execute("UPDATE files SET is_missing = 1 WHERE path = ?", (b"/photos/a.jpg",))
    assert gallery.duplicates(only_present=False) == []


def test_folders_limit_the_files_that_are_compared(make: Make) -> None:
    paths = ("/photos/x/a.jpg", "/photos/x/y/b.jpg", "/photos/xy/c.jpg", "/photos/z.jpg")
    gallery = make(*(Entry(path=path, pixels=SAME) for path in paths))
    assert summarize(gallery.duplicates(["/photos/x"], only_present=False)) == [("same", ["a.jpg", "b.jpg"])]
    assert summarize(gallery.duplicates(["/photos/xy/"], only_present=False)) == []
    assert summarize(gallery.duplicates(["/photos/xy", "/photos/x/y"], only_present=False)) == [
        ("same", ["b.jpg", "c.jpg"])
    ]
    with pytest.raises(OptionError, match="no images in /phot"):
        gallery.duplicates(["/phot"], only_present=False)


def test_a_dismissed_group_stays_dismissed(
    gallery: Gallery, photos: Path, classifier: Classifier, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    original = Image.fromarray(noise).resize((900, 800), Image.Resampling.NEAREST)
    original.save(photos / "original.png")
    ImageOps.mirror(original).save(photos / "mirrored.png")
    shutil.copy(photos / "original.png", photos / "copy.png")
    gallery.index([photos], classifier)
    before = summarize(gallery.duplicates(only_present=False))
    assert ("same", ["original.png", "copy.png"]) in before
    (near,) = (names for kind, names in before if kind == "near" and "mirrored.png" in names)

    assert gallery.dismiss([photos / "copy.png", photos / "original.png"]) == 1
    assert "same" not in dict(summarize(gallery.duplicates(only_present=False)))
    gallery.dismiss([photos / name for name in near])
    assert all("mirrored.png" not in names for _, names in summarize(gallery.duplicates(only_present=False)))

    for name in ("copy.png", "original.png", "mirrored.png"):  # by their pixels, not by their names
        (photos / name).rename(photos / f"new {name}")
    gallery.index([photos], classifier)
    found = summarize(gallery.duplicates(only_present=False))
    assert all("new mirrored.png" not in names for _, names in found)
    assert "same" not in dict(found)


def test_dismissed_groups_are_exported_and_imported(make: Make, tmp_path: Path) -> None:
    entries = [
        Entry(path="/photos/a.jpg", pixels=SAME, hash=BASE, mirrored_hash=FAR),
        Entry(path="/photos/b.jpg", pixels=SAME, hash=BASE, mirrored_hash=FAR),
        Entry(path="/photos/c.jpg", pixels=OTHER, hash=BASE, mirrored_hash=FAR),
    ]
    gallery = make(*entries)
    assert gallery.dismiss([entry.path for entry in entries]) == 2
    assert gallery.duplicates(only_present=False) == []
    lines = list(export_decisions(gallery.connection))
    with make_library(tmp_path / "other.db", entries) as other:
        assert len(other.duplicates(only_present=False)) == 2
        assert import_decisions(other.connection, lines, name="lines") == (2, 0)
        assert other.duplicates(only_present=False) == []


def test_a_third_image_does_not_bring_a_dismissed_pair_back_together(make: Make) -> None:
    gallery = make(
        *(
            Entry(path=f"/photos/{name}.jpg", hash=BASE ^ bits, mirrored_hash=FAR)
            for name, bits in (("a", 0b1), ("b", 0b10), ("c", 0b100))
        )
    )
    gallery.dismiss(["/photos/a.jpg", "/photos/b.jpg"])
    assert summarize(gallery.duplicates(only_present=False)) == [("near", ["a.jpg", "c.jpg"])]


def test_only_files_of_the_library_can_be_dismissed(make: Make) -> None:
    gallery = make(Entry(path="/photos/a.jpg"))
    with pytest.raises(OptionError, match="not in the library"):
        gallery.dismiss(["/photos/a.jpg", "/photos/b.jpg"])
    with pytest.raises(OptionError, match="at least two"):
        gallery.dismiss(["/photos/a.jpg", "/photos/../photos/a.jpg"])


def test_the_embedding_of_an_image_without_structure_proves_nothing(make: Make) -> None:
    vector = np.array([1, 0], np.float32)
    gallery = make(
        Entry(path="/photos/page 1.jpg", embedding=vector),
        Entry(path="/photos/page 2.jpg", embedding=vector),
        Entry(path="/photos/dog.jpg", hash=BASE, mirrored_hash=FAR, embedding=vector),
        Entry(path="/photos/dog mirrored.jpg", hash=~BASE, mirrored_hash=~FAR, embedding=vector),
    )
    assert summarize(gallery.duplicates(only_present=False)) == [("near", ["dog.jpg", "dog mirrored.jpg"])]


def test_embeddings_of_different_models_are_not_compared(
    gallery: Gallery, photos: Path, classifier: Classifier, colours: Classifier
) -> None:
    for seed, name in enumerate(("one.png", "trip/two.png")):
        grid = np.zeros((8, 9, 3), np.uint8)
        grid[..., 0] = np.random.default_rng(seed).integers(150, 256, (8, 9))
        image = Image.fromarray(grid).resize((90, 80), Image.Resampling.NEAREST)
        image.save(photos / name)
    gallery.index([photos], classifier)
    assert [sorted(names) for _, names in summarize(gallery.duplicates(only_present=False))] == [
        ["one.png", "two.png"]
    ]
    gallery.index([photos / "trip"], colours)
    assert gallery.duplicates(only_present=False) == []


def test_an_empty_library_has_no_duplicates(gallery: Gallery) -> None:
    assert gallery.duplicates(only_present=False) == []


def test_files_that_are_gone_or_have_changed_are_in_no_group(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    for name in ("gone.png", "changed.png", "other.png"):
        shutil.copy(photos / "red.png", photos / name)
    gallery.index([photos], classifier)
    assert len(gallery.duplicates()[0].files) == 4
    (photos / "gone.png").unlink()
    Image.new("RGB", (12, 9), "white").save(photos / "changed.png")
    with pytest.warns(PictagWarning, match="2 files are left out"):
        assert summarize(gallery.duplicates()) == [("same", ["red.png", "other.png"])]
    (photos / "other.png").unlink()
    with pytest.warns(PictagWarning, match="3 files are left out"):
        assert gallery.duplicates() == []


def test_a_link_is_not_a_duplicate_of_its_file(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    (photos / "a.png").symlink_to(photos / "red.png")  # sorts first, and has the shorter name
    (photos.parent / "linked").symlink_to(photos)
    gallery.index([photos, photos.parent / "linked"], classifier)
    assert gallery.status()["files"] == 8
    assert gallery.duplicates() == []
    shutil.copy(photos / "red.png", photos / "copy.png")
    gallery.index([photos, photos.parent / "linked"], classifier)
    assert [group.files for group in gallery.duplicates()] == [
        tuple(os.fsencode(photos / name) for name in ("red.png", "copy.png"))
    ]
