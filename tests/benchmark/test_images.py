from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pictag.benchmark.images import SIZE, choose_images, draw_images
from pictag.errors import ImageNotFound
from tinymodel import make_image


def test_generated_images_are_as_large_as_photographs_and_always_the_same(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = (draw_images(tmp_path / name, 2) for name in ("first", "second"))
    contents = [Path(source.value).read_bytes() for source in first]
    assert contents == [Path(source.value).read_bytes() for source in second]
    assert contents[0] != contents[1]
    for source, content in zip(first, contents, strict=True):
        assert 30_000 < len(content) < 150_000
        with Image.open(source.value) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", SIZE, "RGB")


def test_images_are_chosen_evenly_from_the_whole_folder(tmp_path: Path) -> None:
    for number in range(10):
        make_image(tmp_path / f"{number}.png")
    chosen = choose_images(tmp_path, count=5, recursive=False)
    assert [Path(entry.name).name for entry in chosen] == ["0.png", "2.png", "4.png", "6.png", "8.png"]
    assert len(choose_images(tmp_path, count=64, recursive=False)) == 10
    assert len(choose_images(tmp_path / "[1-3].png", count=64, recursive=False)) == 3


def test_subfolders_are_read_on_request(tmp_path: Path) -> None:
    make_image(tmp_path / "inner" / "a.png")
    with pytest.raises(ImageNotFound):
        choose_images(tmp_path, count=5, recursive=False)
    assert len(choose_images(tmp_path, count=5, recursive=True)) == 1


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match="missing: no such folder"):
        choose_images(tmp_path / "missing", count=5, recursive=False)
