"""The rows of a Parquet file survive a crash at any moment of the run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pictag.errors import OutputError
from pictag.records import Prediction
from pictag.sinks.jsonl import read_jsonl
from pictag.sinks.parquet import read_parquet
from pictag.sinks.resume import open_sink, reopen_sink
from pictag.sinks.run_record import read_record
from pictag.sinks.unfinished import find_unfinished
from resultfiles import CAT, DOG, TORN, write

pytest.importorskip("pyarrow", reason="pip install 'pictag[parquet]'")
RECORD = {"model": "org/name", "top_k": 5}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results" / "run.parquet"


def start(path: Path, *run: Prediction, resume: bool = False) -> None:
    """Write rows, and leave the folder as a killed process does."""
    sink = (
        reopen_sink(path, "parquet", record=RECORD)[0]
        if resume
        else open_sink(path, "parquet", record=RECORD)
    )
    for prediction in run:
        sink.write(prediction)
    killed = path.parent.with_name("killed")
    shutil.copytree(path.parent, killed)
    sink.close()
    shutil.rmtree(path.parent)
    killed.rename(path.parent)


def finish(path: Path, *run: Prediction, retry_failed: bool = False) -> list[Prediction]:
    """Resume, write the rows that are missing, and return those of the file."""
    sink, done = reopen_sink(path, "parquet", record=RECORD, retry_failed=retry_failed)
    for prediction in run:
        if prediction.source not in done:
            sink.write(prediction)
    sink.close()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert read_record(path, "parquet") == RECORD
    return list(read_parquet(path))


def test_the_file_gets_its_name_when_the_sink_is_closed(path: Path) -> None:
    sink = open_sink(path, "parquet")
    sink.write(CAT)
    assert not path.exists()
    sink.close()
    sink.close()
    assert [p.name for p in path.parent.iterdir()] == ["run.parquet"]


def test_a_killed_run_is_continued(path: Path) -> None:
    start(path, CAT, TORN)
    assert find_unfinished(path) == path.with_name("run.parquet.unfinished.jsonl")
    assert finish(path, CAT, TORN, DOG) == [CAT, TORN, DOG]
    assert find_unfinished(path) is None


def test_a_run_that_is_killed_again_and_again_is_continued(path: Path) -> None:
    write(path, "parquet", CAT)
    with pytest.warns(UserWarning, match="doesn't say which model"):  # the first run had no record
        start(path, TORN, resume=True)
    path.unlink()
    for prediction in (DOG, CAT):
        start(path, prediction, resume=True)
    assert finish(path, CAT, DOG, TORN) == [TORN, DOG, CAT]


def test_a_killed_run_adds_to_the_rows_of_a_finished_file(path: Path) -> None:
    finish(path, CAT)
    start(path, DOG, resume=True)
    assert list(read_parquet(path)) == [CAT]
    assert finish(path, CAT, DOG, TORN) == [CAT, DOG, TORN]


def test_a_torn_last_row_is_classified_again(path: Path) -> None:
    start(path, CAT, DOG)
    journal = path.with_name("run.parquet.unfinished.jsonl")
    os.truncate(journal, journal.stat().st_size - 5)
    assert finish(path, CAT, DOG) == [CAT, DOG]


@pytest.mark.parametrize("has_part", ["no", "torn", "whole"])
def test_a_run_that_is_killed_while_it_makes_the_file_is_continued(path: Path, has_part: str) -> None:
    finish(path, CAT)
    start(path, DOG, resume=True)
    part = path.with_name("run.parquet.pictag-part")
    if has_part != "no":
        whole = write(path.with_name("other.parquet"), "parquet", CAT, DOG)
        part.write_bytes(whole.read_bytes()[: None if has_part == "whole" else -20])
        whole.unlink()
    assert finish(path, CAT, DOG, TORN) == [CAT, DOG, TORN]


def test_a_run_that_is_killed_before_the_last_step_is_finished(path: Path) -> None:
    finish(path, CAT, DOG)
    path.rename(path.with_name("run.parquet.pictag-part"))
    assert find_unfinished(path) == path.with_name("run.parquet.pictag-part")
    assert finish(path, CAT, DOG, TORN) == [CAT, DOG, TORN]


def test_images_that_failed_in_a_killed_run_can_be_retried(path: Path) -> None:
    torn = Prediction(source="old.jpg", error=TORN.error)
    finish(path, torn, CAT)
    start(path, TORN, DOG, resume=True)
    assert finish(path, retry_failed=True) == [CAT, DOG]


def test_a_killed_run_is_only_continued_with_its_model_and_options(path: Path) -> None:
    start(path, CAT)
    with pytest.raises(OutputError, match=r"unfinished\.jsonl was written with top_k=5, but"):
        reopen_sink(path, "parquet", record=RECORD | {"top_k": 1})
    assert finish(path, CAT, DOG) == [CAT, DOG]


def test_a_new_run_discards_the_rows_of_a_killed_one(path: Path) -> None:
    finish(path, CAT)
    start(path, TORN, resume=True)
    start(path, DOG)
    assert finish(path) == [DOG]


def test_rows_that_can_not_be_made_a_file_stay(path: Path) -> None:
    sink = open_sink(path, "parquet")
    sink.write(CAT)
    path.mkdir()  # in the file's place
    with pytest.raises(OutputError, match=r"Cannot finish .*unfinished\.jsonl, and --resume") as caught:
        sink.close()
    assert caught.value.errno is not None
    sink.close()
    shutil.rmtree(path)
    assert find_unfinished(path) is not None
    sink, done = reopen_sink(path, "parquet")
    assert "cat.jpg" in done
    sink.close()
    assert list(read_parquet(path)) == [CAT]


def test_the_rows_of_a_run_can_be_read_while_it_runs(path: Path) -> None:
    start(path, CAT, TORN)
    assert list(read_jsonl(path.with_name("run.parquet.unfinished.jsonl"))) == [CAT, TORN]


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        open_sink(tmp_path / "nowhere" / "run.parquet", "parquet")
