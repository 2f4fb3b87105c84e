"""Small copies of images."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import ExifTags, Image

from pictag.images import Source
from pictag.images.thumbnail import make_thumbnail


def test_a_thumbnail_is_upright_and_a_smaller_image_keeps_its_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turned by 90°
    name = str(tmp_path / "turned.jpg")
    Image.new("RGB", (400, 200), "red").save(name, exif=exif)
    source = Source(name=name, kind="file", value=name)

    sizes = [Image.open(io.BytesIO(make_thumbnail(source, size=size))).size for size in (100, 1000)]

    assert sizes == [(50, 100), (200, 400)]
