"""A library with real image files, and its page."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from PIL import Image

from galleryserver import GalleryPage, run_gallery
from libraries import Entry, make_library

MakePage = Callable[..., AbstractContextManager[GalleryPage]]
HOSTILE = '<img src=x onerror="document.title=1">'


def write_photo(path: Path, number: int, size: tuple[int, int] = (90, 60)) -> Path:
    """A JPEG in a colour of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (number * 37 % 256, number * 91 % 256, number * 151 % 256)
    Image.new("RGB", size, colour).save(path, "JPEG")
    return path


@contextmanager
def open_page(folder: Path, entries: list[Entry]) -> Iterator[GalleryPage]:
    """The page of a library with these entries, whose paths are below ``folder``/photos."""
    root = folder / "photos"
    placed = []
    for number, entry in enumerate(entries):
        path = root / entry.path
        if not path.exists() and not path.is_symlink() and entry.error is None:
            write_photo(path, number, (entry.width, entry.height))
        if path.exists():
            os.utime(path, ns=(0, 0))  # as the library has it
        size = path.stat().st_size if path.exists() else 0
        placed.append(dataclasses.replace(entry, path=str(path), size=size))
    make_library(folder / "gallery.db", placed, root=str(root)).close()
    with run_gallery(folder / "gallery.db") as page:
        yield page


@pytest.fixture
def make_page(tmp_path: Path) -> MakePage:
    """Makes the page of a library with these entries."""
    return lambda *entries: open_page(tmp_path, list(entries))


def dogs(count: int) -> list[Entry]:
    """Photos that the model takes for dogs, the surest first."""
    return [
        Entry(
            path=f"dog-{number:03}.jpg", width=90, height=60,
            scores={"dog": 0.99 - number / 1000, "animal": 0.995, "Samoyed": 0.3},
        )
        for number in range(count)
    ]  # fmt: skip
