"""The images of the races."""

from __future__ import annotations

from pathlib import Path

from benchmarks.material import LARGE, SMALL, draw_image, spread
from PIL import Image


def test_images_have_their_size_and_are_the_same_each_time(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    Image.radial_gradient("L").save(source)
    for name in ("one.jpg", "two.jpg"):
        draw_image(source, tmp_path / name, "500x375")
    with Image.open(tmp_path / "one.jpg") as image:
        assert (image.format, image.size, image.mode) == ("JPEG", SMALL, "RGB")
    assert (tmp_path / "one.jpg").read_bytes() == (tmp_path / "two.jpg").read_bytes()


def test_large_images_have_a_cameras_grain(tmp_path: Path) -> None:
    source = tmp_path / "grey.png"
    Image.new("RGB", (40, 30), (128, 128, 128)).save(source)
    draw_image(source, tmp_path / "large.jpg", "12mp")
    with Image.open(tmp_path / "large.jpg") as image:
        assert image.size == LARGE
        assert image.crop((0, 0, 64, 64)).convert("L").getextrema() not in ((128, 128), (0, 255))
    assert (tmp_path / "large.jpg").stat().st_size > 1e6


def test_a_spread_goes_from_the_first_to_near_the_last() -> None:
    paths = [Path(str(number)) for number in range(10)]
    assert [path.name for path in spread(paths, 5)] == ["0", "2", "4", "6", "8"]
    assert spread(paths, 20) == paths
    assert spread([], 3) == []
