"""Titles, descriptions and categories are read as ExifTool and other programs write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from metadata.conftest import RunProgram
from pictag.errors import ImageNotFound, MetadataError
from pictag.metadata import Caption, read_caption
from sidecars import make_sidecar


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_xmp_of_exiftool_is_read(ending: str, tmp_path: Path, run_program: RunProgram) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", (8, 8)).save(path)
    run_program(
        "exiftool",
        ["-q", "-XMP-dc:Title-de=Hafen", "-XMP-dc:Title=Harbour <old> & new",
         "-XMP-dc:Description=Two\nlines", "-XMP-photoshop:Headline=Other", "-XMP-photoshop:Category=NAT",
         "-XMP-photoshop:SupplementalCategories=Sea", "-XMP-photoshop:SupplementalCategories=sea", str(path)],
    )  # fmt: skip
    assert read_caption(path) == Caption(
        title="Harbour <old> & new", description="Two lines", categories=("NAT", "Sea")
    )


@pytest.mark.parametrize("charset", ["UTF8", ""])
@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_iptc_of_exiftool_is_read(ending: str, charset: str, tmp_path: Path, run_program: RunProgram) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", (8, 8)).save(path)
    run_program(
        "exiftool",
        ["-q", f"-IPTC:CodedCharacterSet={charset}", "-IPTC:ObjectName=Größe", "-IPTC:Headline=Other",
         "-IPTC:Caption-Abstract=At the sea", "-IPTC:Category=NAT", "-IPTC:SupplementalCategories=Sea",
         str(path)],
    )  # fmt: skip
    assert read_caption(path) == Caption(title="Größe", description="At the sea", categories=("NAT", "Sea"))


@pytest.mark.parametrize("field", ["XMP-photoshop:Headline", "IPTC:Headline"])
def test_a_headline_is_the_title_of_an_image_without_one(
    field: str, photo: Path, run_program: RunProgram
) -> None:
    run_program("exiftool", ["-q", f"-{field}=Old harbour", str(photo)])
    assert read_caption(photo) == Caption(title="Old harbour")


def test_a_sidecar_comes_before_the_image_and_xmp_before_iptc(photo: Path, run_program: RunProgram) -> None:
    run_program(
        "exiftool",
        ["-q", "-XMP-dc:Title=inside", "-IPTC:ObjectName=IPTC", "-IPTC:Caption-Abstract=kept", str(photo)],
    )
    assert read_caption(photo) == Caption(title="inside", description="kept")
    run_program("exiftool", ["-q", "-XMP-dc:Title=beside", str(photo.with_name("a.jpg.xmp"))])
    assert read_caption(photo) == Caption(title="beside", description="kept")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ('<rdf:li xml:lang="de">Hafen</rdf:li><rdf:li xml:lang="x-default">Harbour</rdf:li>', "Harbour"),
        ('<rdf:li xml:lang="de">Hafen</rdf:li><rdf:li xml:lang="en">Harbour</rdf:li>', "Hafen"),
        ('<rdf:li xml:lang="x-default"> </rdf:li><rdf:li xml:lang="de">Hafen</rdf:li>', "Hafen"),
        ("", ""),
    ],
)
def test_of_several_languages_the_default_counts(title: str, expected: str, photo: Path) -> None:
    sidecar = make_sidecar(extra=f"<dc:title><rdf:Alt>{title}</rdf:Alt></dc:title>")
    photo.with_name("a.jpg.xmp").write_bytes(sidecar)
    assert read_caption(photo) == Caption(title=expected)


@pytest.mark.shared
def test_sidecars_of_real_programs_are_read_as_exiftool_reads_them(
    shared: Path, photo: Path, run_program: RunProgram
) -> None:
    sidecars = sorted((shared / "xmp").glob("*.xmp"))
    arguments = ["-j", "-XMP-dc:Title", "-XMP-dc:Description", *map(str, sidecars)]
    expected = json.loads(run_program("exiftool", arguments))
    assert any("Title" in fields for fields in expected)
    for sidecar, fields in zip(sidecars, expected, strict=True):
        photo.with_name("a.jpg.xmp").write_bytes(sidecar.read_bytes())
        found = read_caption(photo)
        assert (found.title, found.description) == (fields.get("Title", ""), fields.get("Description", ""))


def test_an_image_without_metadata_has_no_caption(photo: Path) -> None:
    assert read_caption(photo) == Caption()


def test_a_missing_image_and_a_broken_sidecar_are_errors(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound):
        read_caption(tmp_path / "b.jpg")
    photo.with_name("a.jpg.xmp").write_text("<broken", encoding="utf-8")
    with pytest.raises(MetadataError, match=r"a\.jpg\.xmp"):
        read_caption(photo)
