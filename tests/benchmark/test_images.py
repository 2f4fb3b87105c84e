from __future__ import annotations

from pathlib import Path

from PIL import Image

from pictag.benchmark.images import SIZE, draw_images


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
