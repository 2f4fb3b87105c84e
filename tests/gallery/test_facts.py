"""What a file says about its photograph."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pictag.gallery.facts import read_facts
from pictag.gallery.store import PhotoFacts

NOWHERE = Path("nowhere.jpg")


def read(data: bytes | None) -> PhotoFacts:
    return read_facts(NOWHERE, data)[0]


def encode(form: str = "JPEG", **tags: object) -> bytes:
    """An image with EXIF tags."""
    exif = Image.Exif()
    for name, value in tags.items():
        if name.startswith("GPS"):
            exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS[name]] = value
        elif name.startswith("DateTime"):
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base[name]] = value
        else:
            exif[ExifTags.Base[name]] = value
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, form, exif=exif)
    return stream.getvalue()


def test_date_camera_and_place_are_read() -> None:
    data = encode(
        DateTimeOriginal="2024:07:14 18:03:59",
        Make="NIKON CORPORATION",
        Model="NIKON Z 6",
        GPSLatitude=(1, 2, 3),
    )
    assert read(data) == PhotoFacts(
        type="jpeg", taken="2024-07-14T18:03:59", camera="NIKON Z 6", has_gps=True
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_every_format_has_its_name_and_its_date(form: str) -> None:
    facts = read(encode(form, DateTimeOriginal="2024:07:14 18:03:59", Make="SONY"))
    assert facts == PhotoFacts(type=form.lower(), taken="2024-07-14T18:03:59", camera="SONY")


@pytest.mark.parametrize("date", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday", ""])
def test_a_camera_without_a_clock_gives_no_date(date: str) -> None:
    assert read(encode(DateTimeOriginal=date)).taken is None


def test_a_real_photograph_is_read(shared: Path) -> None:
    found = [read(path.read_bytes()) for path in sorted((shared / "images" / "gallery").glob("*.jpg"))]
    assert len(found) > 5
    assert {facts.type for facts in found} == {"jpeg", "png"}  # whatever their names say


def test_a_file_of_another_format_is_named() -> None:
    assert read(b"\x10\0\0\0CR\x02").type in ("raw", "unknown")
    assert read(b"II*\0\x10\0\0\0CR\x02\0").type == "raw"
    assert read(b"no image").type == "unknown"
    assert read(None).type == "unknown"


@given(st.binary(max_size=300), st.integers(0, 600))
def test_broken_metadata_is_left_out(noise: bytes, place: int) -> None:
    data = encode(DateTimeOriginal="2024:07:14 18:03:59", Model="X")
    assert read(data[:place] + noise + data[place:]).type in ("jpeg", "unknown", "raw") or place < 20
