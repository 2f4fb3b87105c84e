"""Keywords written into image files by ExifTool, and removed again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pictag.errors import ImageNotFound, MetadataError, MissingProgram, OutputError
from pictag.metadata.exiftool import embed_keywords, remove_embedded
from pictag.metadata.keywords import Keyword
from pictag.metadata.sidecar import read_keywords
from sidecars import HOSTILE, make_sidecar

pytestmark = pytest.mark.slow
needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="needs exiftool: apt-get install libimage-exiftool-perl"
)
WORDS = (
    "dog, big",
    "true",
    "2024",
    "1e5",
    "cafe\u0301",
    "日本",
    '"<&>"; -x',
    "#hash",
    "ä" * 32,
    "ä" * 32 + "b",
)
KEYWORDS = [Keyword(("animal", "dog, big")), *(Keyword((word,)) for word in WORDS[1:])]
HOSTILE_IN_A_SEGMENT = {name: data for name, data in HOSTILE.items() if 0 < len(data) < 60_000}
# What changes in every file that is replaced.
FILE_FIELDS = {
    "FileAccessDate",
    "FileInodeChangeDate",
    "FileSize",
    "FileName",
    "SourceFile",
    "CurrentIPTCDigest",
}


def exiftool(*arguments: str | Path) -> str:
    command = ["exiftool", "-config", "", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def read_json(path: Path) -> dict[str, Any]:
    found = json.loads(exiftool("-j", "-struct", path), parse_float=str, parse_int=str)[0]
    return {key: value for key, value in found.items() if key not in FILE_FIELDS}


def sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def make_image(path: Path, ending: str) -> Path:
    """An image of this format; ``path`` may have another extension."""
    made = path.with_name(f"made.{ending}")
    Image.radial_gradient("L").convert("RGB").save(made)
    return made.rename(path)


@needs_exiftool
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_every_keyword_is_read_back_in_order(ending: str, tmp_path: Path) -> None:
    path = make_image(tmp_path / f"a.{ending}", ending)
    pixels = Image.open(path).tobytes()
    written = embed_keywords(path, KEYWORDS)
    assert written.added == WORDS
    assert read_keywords(path).subject == WORDS
    assert read_keywords(path).people == ()
    lines = exiftool("-b", "-XMP-dc:Subject", "-sep", "\n", path).splitlines()
    assert tuple(lines) == WORDS
    assert Image.open(path).tobytes() == pixels
    has_iptc = ending in ("jpg", "tif")
    iptc = exiftool("-b", "-IPTC:Keywords", "-sep", "\n", path).splitlines()
    assert tuple(iptc) == (WORDS[:-1] if has_iptc else ())
    assert written.not_in_iptc == (WORDS[-1:] if has_iptc else ())


@needs_exiftool
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_what_is_not_ours_is_equal_after_embedding_and_after_a_removal(ending: str, tmp_path: Path) -> None:
    path = make_image(tmp_path / f"a.{ending}", ending)
    (tmp_path / "p.xmp").write_bytes(make_sidecar("Rex", "sea", entries=["pets|Rex"]).split(b"\n", 1)[1])
    exiftool("-overwrite_original", f"-XMP<={tmp_path / 'p.xmp'}", "-EXIF:Artist=Anna", path)
    before = read_json(path)
    words = [word for word in WORDS if word != "true"]  # ExifTool writes a JSON boolean
    embed_keywords(path, [Keyword((word,)) for word in words])
    embedded = read_json(path)
    assert embedded["Subject"] == ["Rex", "sea", *words]
    lists = {
        "Subject",
        "HierarchicalSubject",
        "KeywordsSubject",
        "KeywordsHierarchicalSubject",
        "KeywordsIptc",
    }
    iptc = {"Keywords", "CodedCharacterSet", "EnvelopeRecordVersion", "ApplicationRecordVersion"}
    # TIFF's own fields say where its blocks are.
    layout = {"StripOffsets", "StripByteCounts"}
    kept = {key: value for key, value in embedded.items() if key not in lists | iptc | layout}
    assert kept == {key: value for key, value in before.items() if key not in lists | layout}
    remove_embedded(path)
    after = read_json(path)
    assert {k: v for k, v in after.items() if k not in layout} == {
        k: v for k, v in before.items() if k not in layout
    }


@needs_exiftool
def test_nothing_is_left_in_an_image_without_metadata(photo: Path) -> None:
    before = read_json(photo)
    embed_keywords(photo, KEYWORDS, backup=False)
    remove_embedded(photo, backup=False)
    assert read_json(photo) == before
    assert list(photo.parent.iterdir()) == [photo]


@needs_exiftool
def test_keywords_that_are_only_in_iptc_are_kept_in_front(photo: Path) -> None:
    exiftool("-overwrite_original", "-charset", "iptc=latin", "-Keywords=Rex", "-Keywords=Größe", photo)
    exiftool("-overwrite_original", "-charset", "iptc=latin", "-IPTC:Caption-Abstract=Süden", photo)
    embed_keywords(photo, KEYWORDS[:1])
    found = read_json(photo)
    assert found["Subject"] == ["Rex", "Größe", "dog, big"]
    assert found["Keywords"] == ["Rex", "Größe", "dog, big"]
    assert found["Caption-Abstract"] == "Süden"
    remove_embedded(photo)
    found = read_json(photo)
    assert found["Keywords"] == ["Rex", "Größe"]
    assert "Subject" not in found


@needs_exiftool
def test_a_second_run_replaces_the_first_and_an_equal_one_writes_nothing(photo: Path) -> None:
    embed_keywords(photo, KEYWORDS)
    embed_keywords(photo, [Keyword(("sea",))])
    assert read_keywords(photo).subject == ("sea",)
    before = photo.stat().st_ino
    assert not embed_keywords(photo, [Keyword(("sea",))]).is_changed
    assert photo.stat().st_ino == before


@needs_exiftool
def test_owners_replace_and_remove_only_their_own_keywords(photo: Path) -> None:
    embed_keywords(photo, [Keyword(("dog",)), Keyword(("sea",))], owner="gallery")
    embed_keywords(photo, [Keyword(("dog",)), Keyword(("sun",))])
    remove_embedded(photo, owner="gallery")
    assert read_json(photo)["Keywords"] == read_json(photo)["Subject"] == ["dog", "sun"]


@needs_exiftool
@pytest.mark.parametrize(
    "name",
    ["-b.jpg", "-execute", "@list", "#a.jpg", "a\nb.jpg", "  .jpg", "a%d$x'\".jpg", "é.jpg", "noending"],
)
def test_odd_names_work(name: str, tmp_path: Path) -> None:
    path = make_image(tmp_path / name, "jpg")
    embed_keywords(path, KEYWORDS)
    assert read_keywords(path).subject == WORDS
    assert {entry.name for entry in tmp_path.iterdir()} == {name, f"{name}_original"}


@needs_exiftool
def test_line_breaks_in_the_keywords_of_an_image_are_not_options(photo: Path, tmp_path: Path) -> None:
    """The keywords of people are written again with ours, in XMP and in IPTC."""
    option = f"Rex\n-FileName={tmp_path / 'evil'}"
    (tmp_path / "p.xmp").write_bytes(make_sidecar(f"Anna\n-o\n{tmp_path / 'worse'}").split(b"\n", 1)[1])
    exiftool("-overwrite_original", f"-XMP<={tmp_path / 'p.xmp'}", f"-IPTC:Keywords={option}", photo)
    before = read_keywords(photo)
    embed_keywords(photo, [Keyword(("dog",))], backup=False)
    assert read_keywords(photo).ours == ("dog",)
    remove_embedded(photo, backup=False)
    assert read_keywords(photo) == before
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", "p.xmp"}


@needs_exiftool
def test_odd_folders_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "-o\nx"
    folder.mkdir()
    make_image(folder / "a.jpg", "jpg")
    monkeypatch.chdir(tmp_path)
    embed_keywords(Path("-o\nx/a.jpg"), KEYWORDS)
    assert read_keywords(folder / "a.jpg").subject == WORDS


@needs_exiftool
@pytest.mark.parametrize(("name", "ending"), [("a.jpg", "png"), ("a.png", "jpg"), ("a.tif", "webp")])
def test_wrong_extensions_work(name: str, ending: str, tmp_path: Path) -> None:
    path = make_image(tmp_path / name, ending)
    embed_keywords(path, KEYWORDS)
    assert read_keywords(path).subject == WORDS


@needs_exiftool
def test_the_date_the_mode_and_a_backup_are_kept(photo: Path) -> None:
    os.utime(photo, ns=(10**18, 10**18 + 123_456_789))
    photo.chmod(0o640)
    before = sha256(photo)
    embed_keywords(photo, KEYWORDS)
    assert photo.stat().st_mtime_ns == 10**18 + 123_456_789
    assert photo.stat().st_mode & 0o777 == 0o640
    backup = photo.with_name("a.jpg_original")
    assert sha256(backup) == before
    embed_keywords(photo, [Keyword(("sea",))])
    assert sha256(backup) == before


def unchanged(path: Path, before: Sequence[object]) -> bool:
    return [sha256(path), path.stat().st_mtime_ns] == before and list(path.parent.iterdir()) == [path]


@needs_exiftool
@pytest.mark.parametrize("data", HOSTILE_IN_A_SEGMENT.values(), ids=list(HOSTILE_IN_A_SEGMENT))
def test_hostile_xmp_in_an_image_is_refused_and_the_image_unchanged(data: bytes, photo: Path) -> None:
    Image.open(photo).save(photo, xmp=data)
    before = [sha256(photo), photo.stat().st_mtime_ns]
    with pytest.raises(MetadataError, match=r"a\.jpg"):
        embed_keywords(photo, KEYWORDS)
    assert unchanged(photo, before)


@needs_exiftool
@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff\xe0broken", b"BM" + bytes(100)])
def test_a_file_that_exiftool_cannot_write_is_unchanged(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    before = [sha256(path), path.stat().st_mtime_ns]
    with pytest.raises(MetadataError, match=r"a\.jpg"):
        embed_keywords(path, KEYWORDS)
    assert unchanged(path, before)


@needs_exiftool
def test_xmp_that_does_not_fit_is_refused(photo: Path) -> None:
    before = [sha256(photo), photo.stat().st_mtime_ns]
    with pytest.raises(MetadataError, match=r"a\.jpg"):
        embed_keywords(photo, [Keyword((f"{i}" * 50,)) for i in range(1_000)])
    assert unchanged(photo, before)


@needs_exiftool
def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match=r"a\.jpg"):
        embed_keywords(tmp_path / "a.jpg", KEYWORDS)


def test_a_missing_exiftool_is_named_with_how_to_install_it(photo: Path) -> None:
    before = [sha256(photo), photo.stat().st_mtime_ns]
    with pytest.raises(MissingProgram, match="apt install libimage-exiftool-perl"):
        embed_keywords(photo, KEYWORDS, program="no-such-exiftool")
    assert unchanged(photo, before)


def test_an_exiftool_that_writes_something_else_changes_nothing(photo: Path) -> None:
    program = photo.parent / "exiftool"
    program.write_text(
        "#!/bin/sh\ncat >/dev/null\n"
        """echo '[{"FileType": "JPEG", "FileTypeExtension": "jpg"}]'\n"""
    )
    program.chmod(0o755)
    before = sha256(photo)
    with pytest.raises(MetadataError, match="other keywords than it was given"):
        embed_keywords(photo, KEYWORDS, program=str(program))
    assert sha256(photo) == before


@needs_exiftool
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write read-only files")
def test_a_read_only_image_is_unchanged(photo: Path) -> None:
    photo.chmod(0o444)
    before = [sha256(photo), photo.stat().st_mtime_ns]
    with pytest.raises(OutputError, match="read-only"):
        embed_keywords(photo, KEYWORDS)
    assert unchanged(photo, before)


EMBED_AS = """
import sys
from pathlib import Path
from pictag.metadata import Keyword, embed_keywords, read_keywords
path, owner = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for i in range(50):
    words = [f"{owner}{i}a", f"{owner}{i}b"]
    embed_keywords(path, [Keyword((word,)) for word in words], owner=owner)
    found = [word for word in read_keywords(path).subject if word.startswith(owner)]
    assert found == words, (found, words)
"""


@needs_exiftool
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_two_writers_lose_nothing(photo: Path) -> None:
    exiftool("-overwrite_original", "-XMP-dc:Subject=Rex", "-IPTC:Keywords=Rex", photo)
    before, pixels = sha256(photo), Image.open(photo).tobytes()
    writers = [
        subprocess.Popen([sys.executable, "-c", EMBED_AS, str(photo), owner], stdin=subprocess.PIPE)
        for owner in ("gallery", "keywords")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]
    words = sorted(["gallery49a", "gallery49b", "keywords49a", "keywords49b"])
    for field in ("-XMP-dc:Subject", "-IPTC:Keywords"):
        [first, *rest] = exiftool("-b", field, "-sep", "\n", photo).splitlines()
        assert (first, sorted(rest)) == ("Rex", words)
    assert Image.open(photo).tobytes() == pixels
    assert sha256(photo.with_name("a.jpg_original")) == before
    assert {entry.name for entry in photo.parent.iterdir()} == {"a.jpg", "a.jpg_original"}


EMBED_FOR_EVER = """
import sys
from pathlib import Path
from pictag.metadata import Keyword, embed_keywords
print(flush=True)
while True:
    for word in "ab":
        embed_keywords(Path(sys.argv[1]), [Keyword((word,))])
"""


@needs_exiftool
def test_a_kill_leaves_a_whole_image(photo: Path) -> None:
    wait = threading.Event()
    for attempt in range(4):  # 50 in tests/cli/test_keyword_kills.py
        process = subprocess.Popen([sys.executable, "-c", EMBED_FOR_EVER, str(photo)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        wait.wait(0.2 + attempt * 0.23)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        Image.open(photo).load()
        assert read_keywords(photo).subject in ((), ("a",), ("b",))
    embed_keywords(photo, [Keyword(("c",))])
    assert {entry.name for entry in photo.parent.iterdir()} == {"a.jpg", "a.jpg_original"}
