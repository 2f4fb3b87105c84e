"""Thumbnails."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from gallery.conftest import Classifier
from pictag.errors import CorruptImage, ImageNotFound, OptionError
from pictag.gallery import Gallery
from pictag.gallery.schema import open_library, write


@pytest.fixture
def photo(photos: Path) -> Path:
    """A photograph of 400×200 that the camera held sideways: its upper half is red when upright."""
    image = Image.new("RGB", (400, 200), "blue")
    image.paste("red", (0, 0, 200, 200))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(photos / "sideways.jpg", exif=exif)
    return photos / "sideways.jpg"


@pytest.fixture
def file_id(gallery: Gallery, photo: Path, classifier: Classifier) -> int:
    gallery.index([photo.parent], classifier)
    row: tuple[int] = gallery.connection.execute(
        "SELECT id FROM files WHERE path_text LIKE '%sideways.jpg'"
    ).fetchone()
    return row[0]


def test_a_thumbnail_is_upright_and_small(gallery: Gallery, file_id: int) -> None:
    with Image.open(io.BytesIO(gallery.thumbnail(file_id, size=100))) as image:
        assert (image.format, image.size) == ("JPEG", (50, 100))
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels[:40, :, 0].min() > 200
    assert pixels[60:, :, 2].min() > 200


def test_a_small_image_is_not_enlarged(gallery: Gallery, file_id: int) -> None:
    with Image.open(io.BytesIO(gallery.thumbnail(file_id, size=2000))) as image:
        assert image.size == (200, 400)


def test_a_thumbnail_is_kept(gallery: Gallery, file_id: int, photo: Path) -> None:
    first = gallery.thumbnail(file_id)
    photo.unlink()
    assert gallery.thumbnail(file_id) == first
    with pytest.raises(ImageNotFound):
        gallery.thumbnail(file_id, size=64)


def test_the_thumbnail_of_a_changed_file_is_not_kept(gallery: Gallery, file_id: int, photo: Path) -> None:
    Image.new("RGB", (300, 300), "green").save(photo)
    assert Image.open(io.BytesIO(gallery.thumbnail(file_id))).size == (256, 256)
    assert gallery.connection.execute("SELECT count(*) FROM thumbnails").fetchone() == (0,)


def test_a_thumbnail_doesnt_wait_for_an_index_run(gallery: Gallery, file_id: int) -> None:
    writer = open_library(gallery.path)
    with write(writer):
        assert gallery.thumbnail(file_id)
    writer.close()
    assert gallery.connection.execute("PRAGMA busy_timeout").fetchone() == (15000,)


def test_errors_say_why(gallery: Gallery, file_id: int, photo: Path) -> None:
    with pytest.raises(OptionError, match=r"size=7 is not in 64…2048"):
        gallery.thumbnail(file_id, size=7)
    with pytest.raises(ImageNotFound, match="no file with the number 999"):
        gallery.thumbnail(999)
    photo.write_bytes(photo.read_bytes()[:300])
    with pytest.raises(CorruptImage):
        gallery.thumbnail(file_id)
