"""``pictag keywords`` is killed while it writes, 50 times with sidecars and 50 times with ``--embed``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from pictag.metadata import read_keywords

pytestmark = [
    pytest.mark.soak,
    pytest.mark.shared,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool"),
]
KILLS = 50
PEOPLE = ("Rex", "sea")


@pytest.fixture
def photos(tmp_path: Path, shared: Path) -> Path:
    """Photographs, every other one with keywords of people in its XMP and IPTC."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted((shared / "images" / "imagenet").iterdir())[:12]:
        shutil.copyfile(path, folder / path.name)
    written = [f"-{field}={word}" for field in ("XMP-dc:Subject", "IPTC:Keywords") for word in PEOPLE]
    subprocess.run(
        ["exiftool", "-q", "-overwrite_original", *written, *sorted(folder.iterdir())[::2]], check=True
    )
    return folder


def run(photos: Path, word: str, option: str) -> subprocess.Popen[bytes]:
    """Start a run that gives every photograph the keyword ``word``, and wait for its first row."""
    command = [sys.executable, "-m", "pictag", "keywords", str(photos), "--model", "embedded", "--quiet"]
    process = subprocess.Popen([*command, "--add", word, option], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def read_pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


@pytest.mark.parametrize(("option", "longest_s"), [("--xmp", 0.3), ("--embed", 4)])
def test_fifty_kills_break_no_file_and_lose_no_keyword(option: str, longest_s: float, photos: Path) -> None:
    names = sorted(photos.iterdir())
    hashes, pixels = {p: sha256(p) for p in names}, {p: read_pixels(p) for p in names}
    complete: dict[str, dict[Path, tuple[str, ...]]] = {}
    for word in ("first", "second"):
        assert run(photos, word, option).communicate()[0] is not None
        complete[word] = {path: read_keywords(path).ours for path in names}
    wait = threading.Event()
    attempt = killed = mixed = 0
    while killed < KILLS:
        attempt += 1
        assert attempt < 3 * KILLS, "most runs had ended before they were killed"
        process = run(photos, ("first", "second")[attempt % 2], option)
        wait.wait(longest_s * (attempt % KILLS) / KILLS)
        process.kill()
        killed += process.wait() == -9
        assert process.stdout is not None
        process.stdout.close()
        found = {path: read_keywords(path) for path in names}
        for path, keywords in found.items():
            assert keywords.people == (PEOPLE if path in names[::2] else ())
            assert keywords.ours in (complete["first"][path], complete["second"][path])
            assert read_pixels(path) == pixels[path]
            original = path if option == "--xmp" else path.with_name(path.name + "_original")
            assert sha256(original) == hashes[path]
        mixed += len({keywords.ours[0] for keywords in found.values()}) == 2
    assert mixed > KILLS / 4, "most runs were killed before or after they wrote"
    assert run(photos, "first", option).communicate()[0] is not None
    assert {path: read_keywords(path).ours for path in names} == complete["first"]
    extra = {path.name + (".xmp" if option == "--xmp" else "_original") for path in names}
    assert {path.name for path in photos.iterdir()} == {path.name for path in names} | extra
