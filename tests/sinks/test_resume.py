from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyprediction import NAMES
from pictag.errors import UnreadableResults
from pictag.records import Failure, Label, Prediction
from pictag.sinks.csv import read_csv
from pictag.sinks.jsonl import read_jsonl
from pictag.sinks.parquet import read_parquet
from pictag.sinks.resume import DoneSources, FileFormat, open_sink, reopen_sink

READERS = {"jsonl": read_jsonl, "csv": read_csv, "parquet": read_parquet}
FORMATS: list[FileFormat] = ["jsonl", "csv", "parquet"]
CAT = Prediction(source="cat.jpg", labels=(Label(label="cat", score=0.25, index=7),) * 3)
DOG = Prediction(source="dog\n.jpg", labels=(Label(label="dog", score=0.5, index=8),))
TORN = Prediction(source="torn.jpg", error=Failure(kind="CorruptImage", message="It ends too soon."))


def write(path: Path, file_format: FileFormat, *run: Prediction) -> None:
    sink = open_sink(path, file_format)
    for prediction in run:
        sink.write(prediction)
    sink.close()


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_run_goes_on_at_the_end_of_its_file(tmp_path: Path, file_format: FileFormat) -> None:
    path = tmp_path / "run"
    write(path, file_format, CAT, TORN)
    sink, done = reopen_sink(path, file_format)
    assert ("cat.jpg" in done, "torn.jpg" in done, "dog\n.jpg" in done, len(done)) == (True, True, False, 2)
    assert (done.has_failed("torn.jpg"), done.has_failed("cat.jpg")) == (True, False)
    sink.write(DOG)
    sink.close()
    assert list(READERS[file_format](path)) == [CAT, TORN, DOG]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_images_that_failed_can_be_tried_again(tmp_path: Path, file_format: FileFormat) -> None:
    path = tmp_path / "run"
    write(path, file_format, CAT, TORN, DOG)
    sink, done = reopen_sink(path, file_format, retry_failed=True)
    assert "torn.jpg" not in done
    sink.write(TORN)
    sink.close()
    assert list(READERS[file_format](path)) == [CAT, DOG, TORN]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_that_is_not_there_is_begun(tmp_path: Path, file_format: FileFormat) -> None:
    sink, done = reopen_sink(tmp_path / "run", file_format)
    sink.write(CAT)
    sink.close()
    assert len(done) == 0
    assert list(READERS[file_format](tmp_path / "run")) == [CAT]


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_wherever_a_crash_cuts_the_file_the_run_comes_out_whole(
    tmp_path: Path, file_format: FileFormat
) -> None:
    path = tmp_path / "run"
    write(path, file_format, DOG, TORN, CAT)
    whole = path.read_bytes()
    # CSV cut between two rows of one image looks whole; see the module.
    blind = {i + 1 for i, c in enumerate(whole) if c == 10} if file_format == "csv" else set()
    for cut in set(range(len(whole))) - blind:
        path.write_bytes(whole[:cut])
        sink, done = reopen_sink(path, file_format)
        for prediction in (DOG, TORN, CAT):
            if prediction.source not in done:
                sink.write(prediction)
        sink.close()
        assert path.read_bytes() == whole


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("content", [b"milk\neggs\n", b"milk"])
def test_a_file_of_something_else_is_refused_and_stays(
    tmp_path: Path, file_format: FileFormat, content: bytes
) -> None:
    path = tmp_path / "shopping"
    path.write_bytes(content)
    for retry_failed in (False, True):
        with pytest.raises(UnreadableResults, match="shopping"):
            reopen_sink(path, file_format, retry_failed=retry_failed)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["shopping"]


@given(st.sets(NAMES), st.sets(NAMES))
def test_done_sources_are_exactly_those_that_were_added(added: set[str], others: set[str]) -> None:
    done = DoneSources()
    for name in added:
        done.add(Prediction(source=name))
    assert all(name in done for name in added)
    assert not any(name in done for name in others - added)
