"""A file is continued with the model and options it was written with."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from pictag.errors import OutputError, PictagWarning, UnreadableResults
from pictag.sinks.resume import FileFormat, open_sink, reopen_sink
from pictag.sinks.run_record import read_record, record_path
from resultfiles import CAT, DOG, FORMATS, READERS, TORN

each_format = pytest.mark.parametrize("file_format", FORMATS)
RECORD = {
    "pictag": "0.1",
    "model": "org/name",
    "revision": "abc",
    "weights": "onnx/model.onnx",
    "top_k": 5,
    "min_score": 0.0,
    "function_to_apply": None,
    "sha256": "aa",
    "labels": "bb",
    "thresholds": {"cat": 0.5},
}


def write(path: Path, file_format: FileFormat, record: dict[str, Any] | None) -> Path:
    sink = open_sink(path, file_format, record=record)
    sink.write(CAT)
    sink.close()
    return path


@each_format
def test_a_file_is_continued_with_the_same_record(tmp_path: Path, file_format: FileFormat) -> None:
    path = write(tmp_path / "run", file_format, RECORD)
    for prediction in (DOG, TORN):
        sink, done = reopen_sink(path, file_format, record=RECORD)
        assert "cat.jpg" in done
        sink.write(prediction)
        sink.close()
    assert list(READERS[file_format](path)) == [CAT, DOG, TORN]
    assert read_record(path, file_format) == RECORD
    assert sorted(p.name for p in tmp_path.iterdir()) in (["run"], ["run", "run.meta.json"])


@each_format
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "org/other"}, "model='org/name', but this run has model='org/other'"),
        ({"revision": None}, "revision='abc', but this run has no revision"),
        ({"top_k": 1, "min_score": 0.5}, "top_k=5, min_score=0.0, but this run has top_k=1, min_score=0.5"),
        ({"function_to_apply": "none"}, "no function_to_apply, but this run has function_to_apply='none'"),
        ({"sha256": "cc"}, "sha256='aa', but this run has sha256='cc'"),
        ({"thresholds": {}}, "thresholds={'cat': 0.5}, but this run has thresholds={}"),
        # Another model has other weights and labels anyway.
        (
            {"model": "x", "sha256": "c", "labels": "d"},
            "model='org/name', but this run has model='x'. Continue",
        ),
    ],
)
def test_a_difference_is_refused_by_name(
    tmp_path: Path, file_format: FileFormat, changed: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "run", file_format, RECORD)
    before = path.read_bytes()
    for retry_failed in (False, True):
        with pytest.raises(OutputError) as caught:
            reopen_sink(path, file_format, record=RECORD | changed, retry_failed=retry_failed)
        assert f"run was written with {said}" in str(caught.value)
        assert "--overwrite" in str(caught.value)
    assert path.read_bytes() == before
    assert read_record(path, file_format) == RECORD


@each_format
def test_another_version_of_pictag_and_unknown_names_are_no_difference(
    tmp_path: Path, file_format: FileFormat
) -> None:
    path = write(tmp_path / "run", file_format, RECORD | {"dropped": 1})
    reopen_sink(path, file_format, record=RECORD | {"pictag": "2.0", "new": 3})[0].close()


@each_format
def test_a_file_without_a_record_is_continued_with_a_warning(tmp_path: Path, file_format: FileFormat) -> None:
    path = write(tmp_path / "run", file_format, None)
    for _ in range(2):  # its first rows stay unknown
        with pytest.warns(PictagWarning, match="run doesn't say which model"):
            reopen_sink(path, file_format, record=RECORD)[0].close()
    assert read_record(path, file_format) is None
    assert list(READERS[file_format](path)) == [CAT]


@each_format
def test_a_new_or_empty_file_gets_a_record_without_a_warning(tmp_path: Path, file_format: FileFormat) -> None:
    (tmp_path / "empty").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("new", "empty"):
            reopen_sink(tmp_path / name, file_format, record=RECORD)[0].close()
            assert read_record(tmp_path / name, file_format) == RECORD


@each_format
def test_a_replaced_file_has_the_new_record(tmp_path: Path, file_format: FileFormat) -> None:
    write(tmp_path / "run", file_format, RECORD)
    path = write(tmp_path / "run", file_format, RECORD | {"top_k": 1})
    assert read_record(path, file_format) == RECORD | {"top_k": 1}


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"other": 1}', "\0"])
def test_a_damaged_record_is_an_error(tmp_path: Path, file_format: FileFormat, content: str) -> None:
    path = write(tmp_path / "run", file_format, RECORD)
    record_path(path).write_text(content)
    with pytest.raises(UnreadableResults, match=r"run\.meta\.json is damaged"):
        reopen_sink(path, file_format, record=RECORD)
    record_path(path).unlink()
    with pytest.warns(PictagWarning):
        reopen_sink(path, file_format, record=RECORD)[0].close()


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_a_file_that_is_not_a_record_is_never_replaced(tmp_path: Path, file_format: FileFormat) -> None:
    precious = tmp_path / "run.meta.json"
    precious.write_text('{"camera": "X100"}')
    with pytest.raises(OutputError, match=r"run\.meta\.json exists"):
        open_sink(tmp_path / "run", file_format, record=RECORD)
    assert json.loads(precious.read_text()) == {"camera": "X100"}
    assert not (tmp_path / "run").exists()
