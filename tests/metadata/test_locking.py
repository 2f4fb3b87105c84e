"""A file is replaced as a whole, by one writer at a time."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from pictag.errors import ImageUnreadable, OutputError
from pictag.metadata.locking import (
    is_unchanged,
    locked_folder,
    read_file,
    replace_file,
    temporary_path,
)


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    replace_file(path, b"new")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert path.read_bytes() == b"new"


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(b"old")
    path.chmod(0o640)
    replace_file(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.xmp"]


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    target = tmp_path / "someone's"
    target.write_bytes(b"theirs")
    temporary_path(path).symlink_to(target)
    replace_file(path, b"new")
    assert (path.read_bytes(), target.read_bytes()) == (b"new", b"theirs")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.xmp", "someone's"]


def test_a_failed_write_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.xmp").mkdir()
    with pytest.raises(OutputError, match=r"Cannot write .*a\.xmp.*unchanged"):
        replace_file(tmp_path / "a.xmp", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.xmp"]


def test_the_longest_file_name_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".xmp")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_change_by_another_program_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    assert is_unchanged(path, read_file(path, max_bytes=9))
    path.write_bytes(b"old")
    assert not is_unchanged(path, None)
    read = read_file(path, max_bytes=9)
    assert is_unchanged(path, read)
    path.write_bytes(b"longer")
    assert not is_unchanged(path, read)


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.xmp")
    with pytest.raises(ImageUnreadable, match="not a regular file"):
        read_file(tmp_path / "a.xmp", max_bytes=9)


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(b"x" * 100)
    read = read_file(path, max_bytes=9)
    assert read is not None
    assert len(read.data) == 10


def test_threads_wait_for_each_other(tmp_path: Path) -> None:
    inside: list[int] = []
    most = 0

    def work() -> None:
        nonlocal most
        for _ in range(50):
            with locked_folder(tmp_path):
                inside.append(1)
                most = max(most, len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_locked_where_a_folder_cannot_be(tmp_path: Path) -> None:
    locked = []

    def lock(descriptor: int) -> None:  # as on NFS
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        locked.append(descriptor)

    with locked_folder(tmp_path, lock=lock):
        assert len(locked) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(locked[0])


def test_a_folder_that_does_not_exist_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot lock the folder"), locked_folder(tmp_path / "none"):
        pass
