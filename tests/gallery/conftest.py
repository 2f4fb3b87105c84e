"""Classifiers that name colours, and a folder of photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pictag import ImageClassificationPipeline, pipeline
from pictag.gallery import Gallery
from tinymodel import make_tiny_model

Classifier = ImageClassificationPipeline[Any]


@pytest.fixture(scope="session")
def cats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model: a red image is a tabby, a green one a tiger cat, a blue one a banana."""
    labels = ("n02123045", "n02123159", "n07753592")
    return make_tiny_model(tmp_path_factory.mktemp("model") / "cats", labels=labels)


@pytest.fixture(scope="session")
def classifier(cats: Path) -> Classifier:
    return pipeline(model=cats, embeddings=True, threads=1)


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A model whose labels are red, green and blue."""
    return pipeline(
        model=make_tiny_model(tmp_path_factory.mktemp("model") / "colours"), embeddings=True, threads=1
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with red.png, trip/green.jpg and trip/blue.jpg."""
    for name, colour in (("red.png", "red"), ("trip/green.jpg", "green"), ("trip/blue.jpg", "blue")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 9), colour).save(path)
    return tmp_path / "photos"


@pytest.fixture
def gallery(tmp_path: Path) -> Any:
    with Gallery.open(tmp_path / "library" / "gallery.db", create=True) as gallery:
        yield gallery


Find = Callable[[Gallery, str], list[str]]


@pytest.fixture
def find(photos: Path) -> Find:
    """The names of the files whose full text has a word."""

    def search(gallery: Gallery, word: str) -> list[str]:
        rows = gallery.connection.execute(
            "SELECT path_text FROM words JOIN files ON files.id = words.rowid WHERE words MATCH ?",
            (f'"{word}"',),
        )
        return sorted(Path(path).relative_to(photos).as_posix() for (path,) in rows)

    return search


@pytest.fixture
def labelled(photos: Path) -> Find:
    """The names of the files that have a label or concept with a score above 0.5."""

    def search(gallery: Gallery, word: str) -> list[str]:
        rows = gallery.connection.execute(
            "SELECT path_text FROM files JOIN scores USING (content_id) JOIN terms ON terms.id = term_id "
            "WHERE NOT is_missing AND score > 0.5 AND word = ?",
            (word,),
        )
        return sorted(Path(path).relative_to(photos).as_posix() for (path,) in rows)

    return search
