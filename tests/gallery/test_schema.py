"""Opening a library, and the files that aren't one."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from libraries import Entry, make_library
from pictag.errors import InvalidLibrary, LibraryLocked, LibraryNotFound, OutputError
from pictag.gallery import Gallery
from pictag.gallery.schema import MIGRATIONS, open_library, write


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.db"
    make_library(path, [Entry(path=f"/photos/{n}.jpg", scores={"dog": 0.9}) for n in range(50)]).close()
    return path


def test_a_missing_library_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound, match="pictag index FOLDER") as caught:
        Gallery.open(tmp_path / "gallery.db")
    assert caught.value.errno == errno.ENOENT
    assert not (tmp_path / "gallery.db").exists()


def test_a_new_library_is_opened_again(tmp_path: Path) -> None:
    Gallery.open(tmp_path / "new" / "gallery.db", create=True).close()
    with Gallery.open(tmp_path / "new" / "gallery.db") as gallery:
        assert gallery.status()["files"] == 0


def test_a_library_of_a_newer_pictag_is_left_alone(library: Path) -> None:
    with sqlite3.connect(library) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(InvalidLibrary, match=r"newer pictag.*pip install --upgrade pictag"):
        Gallery.open(library)


@pytest.mark.parametrize("content", [b"JPEG is not SQLite" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_another_file_is_not_a_library(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(InvalidLibrary, match=r"photo\.jpg"):
        Gallery.open(path, create=True)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "digikam4.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE Images (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InvalidLibrary, match="database of another program"):
        Gallery.open(path, create=True)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_library(tmp_path: Path) -> None:
    (tmp_path / "gallery.db").touch()
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        assert gallery.status()["files"] == 0


def test_a_damaged_library_says_what_to_do(library: Path) -> None:
    content = bytearray(library.read_bytes())
    for start in range(4096, len(content), 4096):  # the first page stays
        content[start : start + 200] = b"\xa5" * 200
    library.write_bytes(content)
    with (
        pytest.raises(InvalidLibrary, match=r"damaged.*pictag gallery import"),
        Gallery.open(library) as gallery,
    ):
        gallery.connection.execute("SELECT * FROM files").fetchall()


def test_damaged_text_is_a_damaged_library(library: Path) -> None:
    with sqlite3.connect(library) as connection:
        connection.execute("UPDATE terms SET word = CAST(x'64ff67' AS TEXT)")
    connection.close()
    with pytest.raises(InvalidLibrary, match="is damaged"), Gallery.open(library) as gallery:
        gallery.search("dog")


def test_a_writer_that_waits_in_vain_says_why(library: Path) -> None:
    with Gallery.open(library) as other, write(other.connection):
        connection = open_library(library, patience_s=0.05)
        with pytest.raises(LibraryLocked, match="being written by another program"), write(connection):
            pass
        assert connection.execute("SELECT count(*) FROM files").fetchone() == (50,)  # readers go on
        connection.close()


def test_a_full_disk_loses_nothing_that_was_stored(library: Path) -> None:
    with Gallery.open(library) as gallery:
        connection = gallery.connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        rows = [(b"%032d" % number,) for number in range(1000)]
        insert = "INSERT INTO decisions VALUES (?, 'dog', 'dog', 'confirmed', '')"
        with pytest.raises(OutputError, match="no space left") as caught, write(connection, library):
            connection.executemany(insert, rows)
        assert caught.value.errno == errno.ENOSPC
        assert connection.execute("SELECT count(*) FROM decisions").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.execute("PRAGMA max_page_count = 100000")
        with write(connection):
            connection.execute("INSERT INTO decisions VALUES (x'00', 'dog', 'dog', 'confirmed', '')")


def test_a_failed_transaction_leaves_no_trace(library: Path) -> None:
    with Gallery.open(library) as gallery:

        def fail() -> None:
            with write(gallery.connection):
                gallery.connection.execute("DELETE FROM words")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert gallery.connection.execute("SELECT count(*) FROM words").fetchone() == (50,)


def test_a_folder_that_cant_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot create"):
        Gallery.open(tmp_path / "file" / "gallery.db", create=True)


def test_a_library_that_cant_be_opened_says_that_its_folder_must_be_writable(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder must be writable, also for a search"):
        Gallery.open(tmp_path)
