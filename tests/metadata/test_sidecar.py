"""The name of an image's sidecar, and its keywords from all places."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from pictag.errors import ImageNotFound, MetadataError
from pictag.metadata.keywords import Keyword
from pictag.metadata.sidecar import (
    existing_sidecars,
    read_keywords,
    remove_keywords,
    sidecar_path,
    write_keywords,
)
from sidecars import make_sidecar

DOG = [Keyword(("animal", "dog"))]
FOR_CR2 = "<p:SidecarForExtension xmlns:p='http://ns.adobe.com/photoshop/1.0/'>CR2</p:SidecarForExtension>"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(make_sidecar() if name.lower().endswith(".xmp") else b"")


@pytest.mark.parametrize(
    ("files", "image", "expected"),
    [
        (["a.jpg"], "a.jpg", "a.jpg.xmp"),
        (["a.jpg", "a.jpg.xmp"], "a.jpg", "a.jpg.xmp"),
        (["a.jpg", "a.xmp"], "a.jpg", "a.xmp"),
        (["a.jpg", "a.xmp", "a.jpg.xmp"], "a.jpg", "a.jpg.xmp"),
        (["a.jpg", "a.XMP"], "a.jpg", "a.XMP"),
        (["a.jpg", "a.JPG.xmp"], "a.jpg", "a.jpg.xmp"),
        (["a.jpg", "a.cr2", "a.xmp"], "a.jpg", "a.jpg.xmp"),
        (["a.jpg", "a.CR2", "a.xmp"], "a.CR2", "a.xmp"),
        (["a.jpg", "a.png", "a.xmp"], "a.jpg", "a.jpg.xmp"),
        (["a.jpg", "a.txt", "a.xmp"], "a.jpg", "a.xmp"),
        (["a.jpg", "a.jpg.png", "a.jpg.xmp"], "a.jpg.png", "a.jpg.png.xmp"),
        (["a", "a.xmp"], "a", "a.xmp"),
    ],
)
def test_the_existing_sidecar_is_used_else_the_full_name(
    files: list[str], image: str, expected: str, tmp_path: Path
) -> None:
    touch(tmp_path, *files)
    assert sidecar_path(tmp_path / image).name == expected


def test_the_sidecar_of_another_extension_is_not_used(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "a.xmp").write_bytes(make_sidecar(extra=FOR_CR2))
    assert sidecar_path(tmp_path / "a.jpg").name == "a.jpg.xmp"
    assert existing_sidecars(tmp_path / "a.jpg") == []
    with pytest.raises(MetadataError, match=r"a\.xmp belongs to another file.*a\.jpg\.xmp"):
        sidecar_path(tmp_path / "a.jpg", "stem")
    assert sidecar_path(tmp_path / "a.CR2").name == "a.xmp"


def test_a_chosen_name_is_used_even_if_the_other_exists(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.xmp")
    assert sidecar_path(tmp_path / "a.jpg", "full").name == "a.jpg.xmp"
    touch(tmp_path, "b.jpg", "b.jpg.xmp")
    assert sidecar_path(tmp_path / "b.jpg", "stem").name == "b.xmp"


def test_a_short_name_is_refused_beside_a_raw_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.nef")
    with pytest.raises(MetadataError, match="belongs to another file"):
        sidecar_path(tmp_path / "a.jpg", "stem")


def test_a_short_name_is_remembered_as_the_images(photo: Path) -> None:
    write_keywords(photo, DOG, sidecar="stem")
    touch(photo.parent, "a.png")
    assert sidecar_path(photo).name == "a.xmp"
    assert sidecar_path(photo.with_suffix(".png")).name == "a.png.xmp"
    remove_keywords(photo)
    assert not photo.with_suffix(".xmp").exists()


def test_keywords_come_from_the_sidecars_and_from_the_image(photo: Path) -> None:
    Image.new("RGB", (8, 8)).save(photo, xmp=make_sidecar("Rex", "sea"))
    photo.with_suffix(".xmp").write_bytes(make_sidecar("Sea", "Anna"))
    write_keywords(photo, DOG, sidecar="full")
    found = read_keywords(photo)
    assert set(found.people) == {"Rex", "sea", "Anna"} or set(found.people) == {"Rex", "Sea", "Anna"}
    assert found.ours == ("dog",)


def test_the_image_is_not_changed(photo: Path) -> None:
    before = hashlib.sha256(photo.read_bytes()).digest(), photo.stat().st_mtime_ns
    write_keywords(photo, DOG)
    write_keywords(photo, DOG, sidecar="stem")
    assert len(remove_keywords(photo)) == 2
    assert (hashlib.sha256(photo.read_bytes()).digest(), photo.stat().st_mtime_ns) == before
    assert list(photo.parent.iterdir()) == [photo]


def test_a_sidecar_can_be_named_itself(photo: Path) -> None:
    path = write_keywords(photo, DOG).path
    assert read_keywords(path).subject == ("dog",)
    remove_keywords(path)
    assert not path.exists()


def test_a_missing_image_gets_no_sidecar(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match=r"a\.jpg doesn't exist"):
        write_keywords(tmp_path / "a.jpg", DOG)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_unicode_work(photo: Path) -> None:
    odd = photo.with_name(os.fsdecode(b"\xff\n-a.jpg"))
    photo.rename(odd)
    write_keywords(odd, DOG)
    assert read_keywords(odd).ours == ("dog",)


def test_an_image_whose_name_is_too_long_for_a_sidecar_has_none(tmp_path: Path) -> None:
    image = tmp_path / f"{'a' * 251}.png"
    Image.new("RGB", (4, 3)).save(image)
    assert existing_sidecars(image) == []
    assert read_keywords(image).people == ()
