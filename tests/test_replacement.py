"""Replacing a file follows links, keeps permissions, and leaves pipes and devices alone."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from pictag.errors import OutputError
from pictag.replacement import replace_file
from pictag.sinks.resume import FileFormat, open_sink, reopen_sink
from resultfiles import CAT, FORMATS, READERS, TORN, write

each_format = pytest.mark.parametrize("file_format", FORMATS)
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and permissions of POSIX")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix_only
@each_format
@pytest.mark.parametrize("how", ["new", "overwrite", "resume", "retry"])
def test_results_are_written_through_links(tmp_path: Path, file_format: FileFormat, how: str) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "run", tmp_path / "link"
    link.symlink_to(Path("disk") / "run")
    if how != "new":
        write(target, file_format, TORN)
    if how in ("resume", "retry"):
        sink, _ = reopen_sink(link, file_format, retry_failed=how == "retry")
    else:
        sink = open_sink(link, file_format)
    sink.write(CAT)
    sink.close()
    assert link.is_symlink()
    assert list(READERS[file_format](target)) == ([TORN, CAT] if how == "resume" else [CAT])
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["disk", "link", "run"]


@posix_only
@each_format
@pytest.mark.parametrize("how", ["overwrite", "resume", "retry"])
def test_permissions_of_a_file_stay(tmp_path: Path, file_format: FileFormat, how: str) -> None:
    for mode in (0o600, 0o640, 0o666):
        path = write(tmp_path / "run", file_format, TORN)
        path.chmod(mode)
        if how == "overwrite":
            sink = open_sink(path, file_format)
        else:
            sink, _ = reopen_sink(path, file_format, retry_failed=how == "retry")
        sink.write(CAT)
        sink.close()
        assert mode_of(path) == mode


@posix_only
def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    assert mode_of(write(tmp_path / "run", "parquet", CAT)) == mode_of(tmp_path / "usual")


@posix_only
def test_the_rows_of_a_private_parquet_file_are_private_during_the_run(tmp_path: Path) -> None:
    path = write(tmp_path / "run", "parquet", CAT)
    path.chmod(0o600)
    for how in ("overwrite", "resume"):
        sink = open_sink(path, "parquet") if how == "overwrite" else reopen_sink(path, "parquet")[0]
        assert mode_of(tmp_path / "run.unfinished.jsonl") == 0o600
        sink.close()


@posix_only
@pytest.mark.parametrize("is_linked", [False, True])
def test_a_pipe_or_device_is_never_replaced_by_a_parquet_file(tmp_path: Path, is_linked: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path / "pipe", Path("/dev/null")):
        path = special
        if is_linked:
            path = tmp_path / f"link-{special.name}"
            path.symlink_to(special)
        with pytest.raises(OutputError, match="not a regular file, and Parquet can't be written to it"):
            open_sink(path, "parquet")
        with pytest.raises(OutputError, match="not a regular file"):
            reopen_sink(path, "parquet", retry_failed=True)
        assert not special.is_file()


@posix_only
@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_a_pipe_or_device_cannot_be_continued(tmp_path: Path, file_format: FileFormat) -> None:
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OutputError, match="not a regular file, so it can't be continued"):
            reopen_sink(special, file_format)
        assert not special.is_file()


@posix_only
@each_format
def test_a_circular_link_is_an_output_error(tmp_path: Path, file_format: FileFormat) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "run")
    for opened in (open_sink, reopen_sink):
        with pytest.raises(OutputError, match="run"):
            opened(tmp_path / "run", file_format)


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write_until_the_disk_is_full() -> None:
        with replace_file(path) as stream:
            stream.write(b"new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="No space left") as caught:
        write_until_the_disk_is_full()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@posix_only
def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "file.pictag-part").symlink_to(tmp_path / "precious")
    with replace_file(tmp_path / "file") as stream:
        stream.write(b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "file").read_text() == "new"
