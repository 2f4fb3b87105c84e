"""Other programs read what pictag writes, and keep it readable when they write it."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from metadata.conftest import RunProgram
from pictag.metadata import embed_keywords, xmp
from pictag.metadata.keywords import Keyword
from sidecars import make_sidecar

pytestmark = pytest.mark.slow
PEOPLE = ("Rex", "Anna & <Bob>", "caf\u00e9")
WORDS = ("dog", "salt, pepper", "cafe\u0301 noir", "Stra\u00dfe", "日本", "😀", "a; b", "ä" * 32, "y" * 65)
KEYWORDS = [Keyword(("animal", "mammal", "dog")), *(Keyword((word,)) for word in WORDS[1:])]
ENTRIES = ("Rex", "Anna & <Bob>", "caf\u00e9", "animal|mammal|dog", *WORDS[1:])


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    """A sidecar with keywords of people and ours."""
    path = tmp_path / "a.jpg.xmp"
    path.write_bytes(make_sidecar(*(word.replace("&", "&amp;").replace("<", "&lt;") for word in PEOPLE)))
    xmp.merge(path, KEYWORDS)
    return path


@pytest.fixture
def embedded(photo: Path, run_program: RunProgram) -> Path:
    """A JPEG with keywords of people and ours, in its XMP and IPTC."""
    words = [f"-{field}={word}" for field in ("XMP-dc:Subject", "IPTC:Keywords") for word in PEOPLE]
    run_program("exiftool", ["-overwrite_original", "-IPTC:CodedCharacterSet=UTF8", *words, str(photo)])
    embed_keywords(photo, KEYWORDS)
    return photo


def read_adobe(printed: str, uri: str, name: str) -> list[str | None]:
    """The items of a list in the packet that exempi prints."""
    root = ET.fromstring(printed[printed.index("<x:xmpmeta") : printed.index("</x:xmpmeta>") + 12])
    return [item.text for item in root.iterfind(f".//{{{uri}}}{name}//{{*}}li")]


def read_json(run_program: RunProgram, path: Path) -> list[dict[str, Any]]:
    """The properties of a sidecar, or of each one in a folder, in the order of their names."""
    options = ["-config", "", "-j", "-struct", "-G1", "-XMP:all", "-fileOrder", "FileName", "-ext", "xmp"]
    found: list[dict[str, Any]] = json.loads(run_program("exiftool", [*options, str(path)]))
    return found


def test_exiftool_reads_every_keyword_in_order(sidecar: Path, run_program: RunProgram) -> None:
    [found] = read_json(run_program, sidecar)
    assert found["XMP-dc:Subject"] == [*PEOPLE, *WORDS]
    assert found["XMP-lr:HierarchicalSubject"] == list(ENTRIES)


def test_exiv2_reads_every_keyword_in_order(sidecar: Path, run_program: RunProgram) -> None:
    printed = run_program("exiv2", ["-PXkv", "print", str(sidecar)])
    found = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert found["Xmp.dc.subject"] == ", ".join((*PEOPLE, *WORDS))
    assert found["Xmp.lr.hierarchicalSubject"] == ", ".join(ENTRIES)


def test_adobes_toolkit_reads_every_keyword_in_order(sidecar: Path, run_program: RunProgram) -> None:
    printed = run_program("exempi", ["-X", "-x", str(sidecar)])
    assert read_adobe(printed, "http://purl.org/dc/elements/1.1/", "subject") == [*PEOPLE, *WORDS]
    entries = read_adobe(printed, "http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject")
    assert entries == list(ENTRIES)


def test_exiv2_reads_every_embedded_keyword_in_order(embedded: Path, run_program: RunProgram) -> None:
    printed = run_program("exiv2", ["-PXkv", "print", str(embedded)])
    found = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert found["Xmp.dc.subject"] == ", ".join((*PEOPLE, *WORDS))
    assert found["Xmp.lr.hierarchicalSubject"] == ", ".join(ENTRIES)
    printed = run_program("exiv2", ["-PIkv", "print", str(embedded)])
    fields = [line.split(maxsplit=1) for line in printed.splitlines()]
    keywords = [value for key, value in fields if key == "Iptc.Application2.Keywords"]
    assert keywords == [*PEOPLE, *(word for word in WORDS if len(word.encode()) <= 64)]


def test_adobes_toolkit_reads_every_embedded_keyword_in_order(
    embedded: Path, run_program: RunProgram
) -> None:
    printed = run_program("exempi", ["-x", str(embedded)])
    assert read_adobe(printed, "http://purl.org/dc/elements/1.1/", "subject") == [*PEOPLE, *WORDS]
    entries = read_adobe(printed, "http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject")
    assert entries == list(ENTRIES)


def test_darktable_reads_every_keyword(sidecar: Path, photo: Path, run_program: RunProgram) -> None:
    """Its tags have no order, and it always splits tags at commas (darktable#19149)."""
    output = photo.with_name("out.jpg")
    core = [
        "--core",
        "--configdir",
        str(photo.parent / "config"),
        "--library",
        ":memory:",
        "--disable-opencl",
    ]
    run_program("darktable-cli", [str(photo), str(sidecar), str(output), *core])
    subject = json.loads(run_program("exiftool", ["-j", "-XMP-dc:Subject", str(output)]))[0]["Subject"]
    words = {word for word in WORDS if "," not in word} | {"salt"}
    assert {*PEOPLE, *words, "animal", "mammal"} - set(subject) == set()


@pytest.mark.parametrize("program", ["exiftool", "exempi", "exiv2"])
def test_ours_are_removed_after_another_program_has_written_the_sidecar(
    program: str, sidecar: Path, run_program: RunProgram
) -> None:
    before = sidecar.read_bytes()
    arguments = {
        "exiftool": ["-overwrite_original", "-XMP:Label=Red", "-XMP-dc:Subject+=late", str(sidecar)],
        "exempi": ["-X", "-x", str(sidecar)],
        "exiv2": ["-M", "set Xmp.xmp.Label XmpText Red", "modify", str(sidecar)],
    }[program]
    printed = run_program(program, arguments)
    if program == "exempi":
        sidecar.write_text(printed[printed.index("<x:xmpmeta") :], encoding="utf-8")
    assert sidecar.read_bytes() != before
    late = ("late",) if program == "exiftool" else ()
    xmp.merge(sidecar, [Keyword(("sea",))])
    assert xmp.read(sidecar).subject == (*PEOPLE, *late, "sea")
    xmp.remove(sidecar)
    assert xmp.read(sidecar).subject == (*PEOPLE, *late)
    assert xmp.read(sidecar).hierarchical == ()
    assert b"pictag" not in sidecar.read_bytes()


@pytest.mark.shared
def test_what_is_not_ours_in_real_sidecars_is_equal(
    shared: Path, tmp_path: Path, run_program: RunProgram
) -> None:
    sources = sorted((shared / "xmp").glob("*.xmp"))
    paths = [Path(shutil.copy(source, tmp_path)) for source in sources]
    before = read_json(run_program, tmp_path)
    assert [row["SourceFile"] for row in before] == [str(path) for path in paths]
    for path in paths:
        xmp.merge(path, KEYWORDS)
    lists = ("XMP-dc:Subject", "XMP-lr:HierarchicalSubject")
    for old, new in zip(before, read_json(run_program, tmp_path), strict=True):
        kept = {k: v for k, v in new.items() if k not in lists and not k.startswith("XMP-pictag:")}
        assert kept == {k: v for k, v in old.items() if k not in lists}
        subject = old.get(lists[0], [])
        assert new[lists[0]] == [*([subject] if isinstance(subject, str) else subject), *WORDS]
    for path in paths:
        xmp.remove(path)
    assert read_json(run_program, tmp_path) == before
    assert [path.read_bytes() for path in paths] == [source.read_bytes() for source in sources]
