"""Sidecar files: created, merged, emptied; broken ones, kills and second writers lose nothing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pictag.errors import ImageNotFound, MetadataError, OptionError, OutputError
from pictag.metadata import xmp
from pictag.metadata.keywords import FileKeywords, Keyword
from sidecars import HOSTILE, make_sidecar

DOG = [Keyword(("animal", "mammal", "dog")), Keyword(("animal",))]
SEA = [Keyword(("sea",))]


def test_a_new_sidecar_has_the_keywords(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    written = xmp.merge(path, DOG)
    assert (written.path, written.added, written.is_changed) == (path, ("dog", "animal"), True)
    assert xmp.read(path) == FileKeywords(
        subject=("dog", "animal"),
        hierarchical=("animal|mammal|dog",),
        ours=("dog", "animal"),
        our_hierarchical=("animal|mammal|dog",),
    )


def test_a_second_run_replaces_the_keywords_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    path.write_bytes(make_sidecar("Rex"))
    xmp.merge(path, DOG)
    xmp.merge(path, SEA)
    assert xmp.read(path).subject == ("Rex", "sea")


def test_an_equal_run_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    xmp.merge(path, DOG)
    before = path.stat()
    assert not xmp.merge(path, DOG).is_changed
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_sidecar_with_nothing_but_ours_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    xmp.merge(path, DOG, extension="jpg")
    assert xmp.remove(path).is_changed
    assert list(tmp_path.iterdir()) == []
    assert not xmp.remove(path).is_changed


def test_a_sidecar_of_another_program_stays_even_if_it_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    before = make_sidecar()
    path.write_bytes(before)
    xmp.merge(path, DOG)
    xmp.remove(path)
    assert path.read_bytes() == before


def test_no_keywords_create_no_sidecar(tmp_path: Path) -> None:
    assert not xmp.merge(tmp_path / "a.jpg.xmp", []).is_changed
    assert list(tmp_path.iterdir()) == []


def test_no_keywords_remove_those_of_the_earlier_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    xmp.merge(path, DOG)
    xmp.merge(path, [])
    assert not path.exists()


def test_the_keywords_in_the_image_are_copied_into_a_new_sidecar(tmp_path: Path) -> None:
    image, path = tmp_path / "a.jpg", tmp_path / "a.jpg.xmp"
    Image.new("RGB", (8, 8)).save(image, xmp=make_sidecar("Rex", entries=["pets|Rex"]))
    xmp.merge(path, DOG, image=image)
    assert xmp.read(path).subject == ("Rex", "dog", "animal")
    assert xmp.read(path).hierarchical == ("pets|Rex", "animal|mammal|dog")
    xmp.remove(path)
    assert not path.exists()


def test_the_keywords_in_the_image_are_not_copied_into_a_sidecar_of_another_program(tmp_path: Path) -> None:
    image, path = tmp_path / "a.jpg", tmp_path / "a.jpg.xmp"
    Image.new("RGB", (8, 8)).save(image, xmp=make_sidecar("Rex"))
    path.write_bytes(make_sidecar("sea"))
    xmp.merge(path, DOG, image=image)
    assert xmp.read(path).subject == ("sea", "dog", "animal")


def test_characters_that_xml_cannot_store_are_left_out_of_copied_keywords(tmp_path: Path) -> None:
    image, path = tmp_path / "a.tif", tmp_path / "a.tif.xmp"
    keyword = b"Re\x0bx\x1c and \x07Anna"
    iptc = b"\x1c\x02\x19" + len(keyword).to_bytes(2, "big") + keyword
    Image.new("RGB", (8, 8)).save(image, tiffinfo={33723: iptc})
    xmp.merge(path, DOG, image=image)
    assert xmp.read(path).subject == ("Rex and Anna", "dog", "animal")


def test_a_circular_link_is_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    path.symlink_to(path)
    with pytest.raises(OutputError, match=r"a\.jpg\.xmp"):
        xmp.merge(path, DOG)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "b.xmp", tmp_path / "a.jpg.xmp"
    target.write_bytes(make_sidecar())
    link.symlink_to(target)
    xmp.merge(link, DOG)
    assert link.is_symlink()
    assert xmp.read(target).subject == ("dog", "animal")


@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_sidecar_is_refused_and_unchanged(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    path.write_bytes(data)
    before = path.stat()
    for action in (xmp.read, xmp.remove, lambda path: xmp.merge(path, DOG)):
        with pytest.raises(MetadataError, match=r"a\.jpg\.xmp"):
            action(path)
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()
    assert path.stat() == before or path.stat().st_mtime_ns == before.st_mtime_ns
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jpg.xmp"]


def test_a_missing_sidecar_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match=r"a\.xmp doesn't exist"):
        xmp.read(tmp_path / "a.xmp")


@pytest.mark.parametrize("owner", ["", "Gallery", "my gallery", "x" * 33])
def test_an_owner_is_a_lower_case_word(owner: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="owner is"):
        xmp.merge(tmp_path / "a.xmp", DOG, owner=owner)
    with pytest.raises(OptionError, match="owner is"):
        xmp.remove(tmp_path / "a.xmp", owner=owner)


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="none"):
        xmp.merge(tmp_path / "none" / "a.xmp", DOG)


KILLS = """
import os, signal, sys, time
from pathlib import Path
from pictag.metadata import locking, xmp
from pictag.metadata.keywords import Keyword

path = Path(sys.argv[1])
sets = [[Keyword((f"{name}{i}",)) for i in range(20)] for name in "ab"]
count = 0

def check():
    subject = xmp.read(path).subject
    assert subject[:2] == ("Rex", "sea"), subject
    assert [word[0] for word in subject[2:]] in (["a"] * 20, ["b"] * 20), subject
    hidden = [name for name in os.listdir(path.parent) if name != path.name]
    assert len(hidden) <= 1, hidden

def replace_and_be_killed(moment):
    # Before and after each function call, of Python or C.
    def profile(frame, event, argument):
        global count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def replace_file(*arguments, **options):
        sys.setprofile(profile)
        locking.replace_file(*arguments, **options)
        sys.setprofile(None)

    xmp.replace_file = replace_file

def kill_while_replacing(moment):
    other = sets["ba".index(xmp.read(path).subject[-1][0])]
    child = os.fork()
    if child == 0:
        replace_and_be_killed(moment)
        xmp.merge(path, other)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

def kill_after(seconds):
    child = os.fork()
    while child == 0:
        for keywords in sets:
            xmp.merge(path, keywords)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

xmp.merge(path, sets[0])
moment = 1
while kill_while_replacing(moment):
    check()
    moment += 1
print(moment)
for attempt in range(50):
    kill_after(attempt * 0.001)
    check()
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    before = make_sidecar("Rex", "sea")
    path.write_bytes(before)
    command = [sys.executable, "-c", KILLS, str(path)]
    moments = int(subprocess.run(command, check=True, timeout=100, stdout=subprocess.PIPE).stdout)
    assert moments > 50
    xmp.merge(path, DOG)
    xmp.remove(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


WRITE_AS = """
import sys
from pathlib import Path
from pictag.metadata import xmp
from pictag.metadata.keywords import Keyword
path, owner = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for i in range(50):
    words = [f"{owner}{i}a", f"{owner}{i}b"]
    xmp.merge(path, [Keyword((word,)) for word in words], owner=owner)
    found = [word for word in xmp.read(path).subject if word.startswith(owner)]
    assert found == words, (found, words)
"""


@pytest.mark.slow
def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    before = make_sidecar("Rex", "sea")
    path.write_bytes(before)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_AS, str(path), owner], stdin=subprocess.PIPE, text=True)
        for owner in ("gallery", "keywords")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]
    subject = xmp.read(path).subject
    assert subject[:2] == ("Rex", "sea")
    assert sorted(subject[2:]) == ["gallery49a", "gallery49b", "keywords49a", "keywords49b"]
    xmp.remove(path)
    assert path.read_bytes() == before


def test_a_change_by_a_program_without_the_lock_is_kept(tmp_path: Path) -> None:
    """The other program writes while pictag reads the image, between its reading and writing."""
    path = tmp_path / "a.jpg.xmp"
    image = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(image)

    class WritingPath(type(path)):  # type: ignore[misc]
        """An image whose reading coincides with a write of the sidecar."""

        def __fspath__(self) -> str:
            if not path.exists():
                path.write_bytes(make_sidecar("Rex"))
            return str(super().__fspath__())

    xmp.merge(path, DOG, image=WritingPath(image))
    assert xmp.read(path).subject == ("Rex", "dog", "animal")
