"""The areas that changed a label's score, by the library's model."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from browser.conftest import write_photo
from galleryserver import GalleryPage, run_gallery
from pictag import pipeline
from pictag.errors import PipelineClosed
from pictag.gallery import Gallery
from tinymodel import make_tiny_model

CATS = ("n02123045", "n02123159", "n07753592")  # tabby, tiger cat, banana
AREAS = "/images/1/areas?label=banana"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library of one photo, and its model."""
    folder = tmp_path_factory.mktemp("explained")
    make_tiny_model(folder / "model", labels=CATS)
    image = Image.new("RGB", (120, 60), "red")
    image.paste("blue", (0, 0, 60, 60))
    (folder / "photos").mkdir()
    image.save(folder / "photos" / "half.png")
    with (
        Gallery.open(folder / "gallery.db", create=True) as gallery,
        pipeline(model=folder / "model", embeddings=True, threads=1) as classifier,
    ):
        gallery.index([folder / "photos"], classifier)
    return folder


@pytest.fixture
def page(made: Path) -> Iterator[GalleryPage]:
    with run_gallery(made / "gallery.db") as page:
        yield page


def test_the_areas_are_drawn_in_the_shape_of_the_photo(page: GalleryPage) -> None:
    status, body, headers = page.ask(AREAS)
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "image/png", "no-store")
    heat = Image.open(io.BytesIO(body)).convert("RGB")
    assert heat.size == (640, 320)
    assert heat.getpixel((160, 160)) != heat.getpixel((480, 160))
    assert page.ask(AREAS)[1] == body


@pytest.mark.parametrize("word", ["cat", "animal", "spaceship", "n07753592 banana"])
def test_concepts_and_unknown_labels_have_no_areas(page: GalleryPage, word: str) -> None:
    status, body, _ = page.ask(f"/images/1/areas?label={quote(word)}")
    assert status == 400
    assert body["message"].endswith(f"has no label with the name {word!r}.")


def test_a_label_must_be_named(page: GalleryPage) -> None:
    assert page.ask("/images/1/areas")[0] == 400
    assert page.ask("/images/1/areas?label=%20")[0] == 400


def test_other_pages_and_requests_without_the_token_are_refused(page: GalleryPage) -> None:
    assert page.ask(AREAS, token=None)[0] == 401
    assert page.ask(AREAS, token="other")[0] == 401
    assert page.ask(AREAS, origin="http://evil.example")[0] == 403
    assert page.ask(AREAS, host="evil.example")[0] == 403
    cookie = f"pictag-{page.port}={page.token}"
    assert page.ask(AREAS, token=None, cookie=cookie, sec_fetch_site="cross-site")[0] == 403


def test_only_indexed_files_are_explained(page: GalleryPage, made: Path, tmp_path: Path) -> None:
    assert page.ask("/images/2/areas?label=banana")[0] == 404
    photo, kept = made / "photos" / "half.png", tmp_path / "kept.png"
    shutil.move(photo, kept)
    try:
        assert page.ask(AREAS)[0] == 404
        photo.symlink_to(write_photo(tmp_path / "private.jpg", 3))
        assert page.ask(AREAS)[0] == 403
    finally:
        photo.unlink(missing_ok=True)
        shutil.move(kept, photo)


def test_one_photo_is_explained_at_a_time(page: GalleryPage) -> None:
    with page.library.explainer._lock:
        status, body, _ = page.ask(AREAS)
    assert (status, "Another explanation is being computed" in body["message"]) == (429, True)
    assert page.ask(AREAS)[0] == 200


def test_a_model_that_cannot_be_opened_is_explained_and_the_page_goes_on(
    page: GalleryPage, made: Path
) -> None:
    (made / "model").rename(made / "elsewhere")
    try:
        status, body, _ = page.ask(AREAS)
        assert (status, str(made / "model") in body["message"]) == (503, True)
        assert page.ask("/images/1/256")[0] == 200
    finally:
        (made / "elsewhere").rename(made / "model")
    assert page.ask(AREAS)[0] == 200


def test_a_model_that_has_changed_explains_nothing(page: GalleryPage, made: Path) -> None:
    (made / "model").rename(made / "elsewhere")
    make_tiny_model(made / "model", labels=CATS[::-1])
    try:
        status, body, _ = page.ask(AREAS)
        assert (status, "has changed since this photo was indexed" in body["message"]) == (400, True)
    finally:
        shutil.rmtree(made / "model")
        (made / "elsewhere").rename(made / "model")


def test_nothing_is_explained_after_the_end(page: GalleryPage) -> None:
    assert page.ask(AREAS)[0] == 200
    page.library.explainer.close()
    with pytest.raises(PipelineClosed):
        page.library.explainer.draw(page.library, 1, "banana")
