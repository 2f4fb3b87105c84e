"""What JSON Lines, CSV and Parquet have in common."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given, settings

from anyprediction import RUNS
from pictag.errors import UnreadableResults
from pictag.records import Prediction
from pictag.sinks.resume import FileFormat, reopen_sink
from resultfiles import CAT, FORMATS, READERS, TORN, write

each_format = pytest.mark.parametrize("file_format", FORMATS)


@each_format
@settings(max_examples=30)
@given(run=RUNS)
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, run: list[Prediction], file_format: FileFormat
) -> None:
    path = write(tmp_path_factory.mktemp("run") / "run", file_format, *run)
    assert list(READERS[file_format](path)) == run


@each_format
def test_a_run_continues_at_the_end_of_its_file(tmp_path: Path, file_format: FileFormat) -> None:
    path = write(tmp_path / "run", file_format, CAT)
    sink, done = reopen_sink(path, file_format)
    assert ("cat.jpg" in done, "torn.jpg" in done, len(done)) == (True, False, 1)
    sink.write(TORN)
    sink.close()
    assert list(READERS[file_format](path)) == [CAT, TORN]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@each_format
def test_images_that_failed_can_be_retried(tmp_path: Path, file_format: FileFormat) -> None:
    path = write(tmp_path / "run", file_format, TORN, CAT)
    sink, done = reopen_sink(path, file_format, retry_failed=True)
    assert ("torn.jpg" in done, "cat.jpg" in done) == (False, True)
    sink.write(TORN)
    sink.close()
    assert list(READERS[file_format](path)) == [CAT, TORN]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@each_format
def test_a_missing_file_is_created(tmp_path: Path, file_format: FileFormat) -> None:
    sink, done = reopen_sink(tmp_path / "run", file_format)
    sink.write(CAT)
    sink.close()
    assert len(done) == 0
    assert list(READERS[file_format](tmp_path / "run")) == [CAT]


@each_format
@pytest.mark.parametrize("content", [b"milk\neggs\n", b"milk", b"name,age\nx,3\n", b"PAR1 no, not really"])
def test_a_file_of_something_else_is_rejected_and_unchanged(
    tmp_path: Path, file_format: FileFormat, content: bytes
) -> None:
    path = tmp_path / "shopping"
    path.write_bytes(content)
    for retry_failed in (False, True):
        with pytest.raises(UnreadableResults, match="shopping"):
            reopen_sink(path, file_format, retry_failed=retry_failed)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["shopping"]


@each_format
def test_a_folder_cannot_be_read(tmp_path: Path, file_format: FileFormat) -> None:
    with pytest.raises(UnreadableResults, match="Cannot read"):
        list(READERS[file_format](tmp_path))


@each_format
def test_a_file_can_be_named_by_text(tmp_path: Path, file_format: FileFormat) -> None:
    path = write(tmp_path / "run", file_format, CAT)
    assert list(READERS[file_format](str(path))) == [CAT]


@each_format
def test_the_error_of_a_missing_file_has_errno_and_file_name(tmp_path: Path, file_format: FileFormat) -> None:
    for missing in (tmp_path / "run", str(tmp_path / "run")):
        with pytest.raises(UnreadableResults, match="run") as caught:
            list(READERS[file_format](missing))
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "run"))
