"""Similar images: by cosine, with and without the model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gallery.conftest import Classifier
from libraries import Entry, make_library
from pictag.errors import ImageNotFound, ImageUnreadable, OptionError
from pictag.gallery import Gallery
from pictag.gallery.search import FoundFile
from pictag.gallery.similar import LoadedVectors, find_reference, find_similar, rate_similar
from pictag.similarity import normalize


def names(found: list[FoundFile]) -> list[str]:
    return [Path(file.name).name for file in found]


@pytest.fixture
def directions(tmp_path: Path) -> Any:
    """A library of images whose embeddings lie 20 degrees apart: 0.jpg … 8.jpg."""
    angles = np.deg2rad(np.arange(0, 180, 20))
    entries = [
        Entry(
            path=f"/photos/{n}.jpg",
            scores={"dog": 0.9},
            embedding=np.array([np.cos(a), np.sin(a)], np.float32),
        )
        for n, a in enumerate(angles)
    ]
    with make_library(tmp_path / "gallery.db", entries) as gallery:
        yield gallery


def test_the_images_with_the_highest_cosine_come_first(directions: Gallery) -> None:
    found = directions.similar("/photos/3.jpg", k=3)
    assert names(found)[0] in ("2.jpg", "4.jpg")
    assert set(names(found)[:2]) == {"2.jpg", "4.jpg"}
    assert [file.score for file in found] == pytest.approx(np.cos(np.deg2rad([20, 20, 40])), abs=1e-3)
    assert found[0].labels[0].word == "dog"


def test_an_image_is_not_similar_to_itself(directions: Gallery) -> None:
    assert "3.jpg" not in names(directions.similar("/photos/3.jpg", k=100))
    assert len(directions.similar("/photos/3.jpg", k=100)) == 8


def test_files_that_are_gone_are_left_out(directions: Gallery) -> None:
    directions.connection.execute(
        "UPDATE files SET is_missing = 1 WHERE path <> ? AND path <> ?", (b"/photos/0.jpg", b"/photos/8.jpg")
    )
    assert names(directions.similar("/photos/0.jpg", k=2)) == ["8.jpg"]


def test_the_result_is_that_of_all_cosines(tmp_path: Path) -> None:
    vectors = normalize(np.random.default_rng(0).standard_normal((700, 12)))
    entries = [Entry(path=f"/photos/{n}.jpg", embedding=row) for n, row in enumerate(vectors)]
    with make_library(tmp_path / "gallery.db", entries) as gallery:
        expected = np.sort(vectors @ vectors[5])[-2:-22:-1]
        loaded = LoadedVectors(gallery.connection)
        for memory in (None, loaded):
            found = find_similar(gallery.connection, "/photos/5.jpg", k=20, vectors=memory)
            assert [file.score for file in found] == pytest.approx(expected, abs=2e-3)
            assert len(set(names(found))) == 20


def test_a_copy_under_another_name_needs_no_model(
    gallery: Gallery, photos: Path, classifier: Classifier, tmp_path: Path
) -> None:
    gallery.index([photos], classifier)
    shutil.copy(photos / "red.png", tmp_path / "copy.png")
    gallery.connection.execute('UPDATE models SET options = \'{"model": "missing"}\'')
    reference = find_reference(gallery.connection, tmp_path / "copy.png")
    assert reference.content_id is not None
    assert names(gallery.similar(tmp_path / "copy.png")) == names(gallery.similar(photos / "red.png"))


def test_an_indexed_file_on_a_disk_that_is_not_connected_is_known(
    gallery: Gallery, photos: Path, classifier: Classifier, tmp_path: Path
) -> None:
    gallery.index([photos], classifier)
    photos.rename(tmp_path / "elsewhere")
    assert set(names(gallery.similar(photos / "red.png"))) == {"green.jpg", "blue.jpg"}


def test_a_file_that_has_changed_is_classified_again(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    gallery.index([photos], classifier)
    Image.new("RGB", (30, 30), "blue").save(photos / "red.png")
    assert names(gallery.similar(photos / "red.png", k=1)) == ["blue.jpg"]


@pytest.mark.parametrize("as_what", ["path", "bytes", "image"])
def test_an_unknown_image_is_classified_with_the_model_of_the_library(
    gallery: Gallery, photos: Path, classifier: Classifier, tmp_path: Path, as_what: str
) -> None:
    gallery.index([photos], classifier)
    path = tmp_path / "blueish.png"
    image = Image.new("RGB", (50, 20), (30, 20, 200))
    image.save(path)
    given: Any = {"path": str(path), "bytes": path.read_bytes(), "image": image}[as_what]
    found = gallery.similar(given)
    assert names(found)[0] == "blue.jpg"
    assert found == gallery.similar(given, classifier=classifier)


def test_another_model_than_the_library_s_is_refused(
    gallery: Gallery, photos: Path, classifier: Classifier, colours: Classifier
) -> None:
    gallery.index([photos], classifier)
    with pytest.raises(OptionError, match="not the model that the library was made with"):
        gallery.similar(Image.new("RGB", (9, 9)), classifier=colours)


def test_images_with_the_embeddings_of_another_model_are_not_compared(
    gallery: Gallery, photos: Path, classifier: Classifier, colours: Classifier
) -> None:
    gallery.index([photos], classifier)
    gallery.index([photos / "trip"], colours)
    assert names(gallery.similar(photos / "trip" / "blue.jpg")) == ["green.jpg"]


def test_an_image_that_does_not_exist_is_an_error(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    gallery.index([photos], classifier)
    with pytest.raises(ImageNotFound):
        gallery.similar("missing.jpg", classifier=classifier)
    with pytest.raises(OptionError, match="k=0"):
        gallery.similar(photos / "red.png", k=0)


def test_a_pipe_is_refused_without_waiting_for_it(
    gallery: Gallery, photos: Path, classifier: Classifier, tmp_path: Path
) -> None:
    gallery.index([photos], classifier)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageUnreadable, match="is a pipe"):
        gallery.similar(tmp_path / "pipe.jpg", classifier=classifier)


def test_an_empty_library_says_what_to_do(gallery: Gallery) -> None:
    with pytest.raises(OptionError, match="pictag index FOLDER"):
        gallery.similar(Image.new("RGB", (9, 9)))


def test_embeddings_in_memory_are_read_again_after_a_change(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    gallery.index([photos], classifier)
    assert len(gallery.similar(photos / "red.png")) == 2
    Image.new("RGB", (40, 40), "navy").save(photos / "navy.png")
    with Gallery.open(gallery.path) as other:
        other.index([photos], classifier)
    assert len(gallery.similar(photos / "red.png")) == 3


def test_names_that_are_not_utf_8_are_found(directions: Gallery) -> None:
    directions.connection.execute(
        "UPDATE files SET path = ? WHERE path = ?", (b"/photos/\xff.jpg", b"/photos/4.jpg")
    )
    assert os.fsdecode(b"\xff.jpg") in names(directions.similar("/photos/3.jpg", k=2))


def test_rated_contents_are_in_the_order_of_their_cosines(directions: Gallery) -> None:
    reference = find_reference(directions.connection, "/photos/0.jpg")
    rated = rate_similar(directions.connection, reference, k=8)
    assert list(rated.values()) == sorted(rated.values(), reverse=True)
    assert len(rated) == 8
