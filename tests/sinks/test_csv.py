from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyprediction import RUNS
from pictag.errors import UnreadableResults
from pictag.records import Failure, Label, Prediction
from pictag.sinks.csv import COLUMNS, HEADER, CsvSink, encode_csv, read_csv
from pictag.sinks.lines import open_lines

CAT = Prediction(
    source='a, "b"\n.jpg',
    labels=(Label(label="cat", score=0.1 + 0.2, index=7), Label(label="=dog()", score=0.25, index=1)),
)
TORN = Prediction(source="torn.jpg", error=Failure(kind="CorruptImage", message="It ends, too soon."))
BARE = Prediction(source="bare.jpg")


def write(path: Path, run: list[Prediction]) -> Path:
    sink = CsvSink(open_lines(path))
    for prediction in run:
        sink.write(prediction)
    sink.close()
    return path


@given(RUNS)
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, run: list[Prediction]
) -> None:
    path = write(tmp_path_factory.mktemp("csv") / "run.csv", run)
    assert list(read_csv(path)) == run


def test_other_readers_see_one_row_a_label(tmp_path: Path) -> None:
    path = write(tmp_path / "run.csv", [CAT, TORN, BARE])
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["source"], r["rank"], r["label"], r["score"], r["index"], r["error_kind"]) for r in rows] == [
        ('a, "b"\n.jpg', "1", "cat", "0.30000000000000004", "7", ""),
        ('a, "b"\n.jpg', "2", "=dog()", "0.25", "1", ""),
        ("torn.jpg", "", "", "", "", "CorruptImage"),
        ("bare.jpg", "", "", "", "", ""),
    ]
    assert rows[2]["error_message"] == "It ends, too soon."


def test_images_of_one_name_stay_two(tmp_path: Path) -> None:
    run = [CAT, CAT, BARE, BARE, TORN, TORN]
    assert list(read_csv(write(tmp_path / "run.csv", run))) == run


@given(st.integers(0, 400))
def test_an_image_that_was_cut_off_is_left_out_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    blocks = [HEADER, *(encode_csv(p).encode() for p in (CAT, TORN, BARE))]
    ends = [sum(map(len, blocks[: i + 1])) for i in range(4)]
    path = tmp_path_factory.mktemp("torn") / "run.csv"
    path.write_bytes(b"".join(blocks)[:cut])
    complete = [p for p, end in zip((CAT, TORN, BARE), ends[1:], strict=True) if cut >= end]
    between_rows = ends[0] + encode_csv(CAT).index("7,,\n") + len("7,,\n")
    if cut == between_rows:  # nothing shows that a second row is missing
        complete = [Prediction(source=CAT.source, labels=CAT.labels[:1])]
    elif cut not in ends and cut < ends[-1]:  # the torn row may have been one of the image before it
        complete = complete[:-1]
    assert list(read_csv(path)) == complete


def test_what_is_no_file_of_predictions_is_said(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    for content in (
        b"name,age\nx,3\n",
        b"hello",
        HEADER + b"a,one,b,c,d,,\n",
        HEADER + b"\xff,1,a,0.5,1,,\n",
    ):
        path.write_bytes(content)
        with pytest.raises(UnreadableResults, match=r"run\.csv"):
            list(read_csv(path))


def test_the_header_is_written_once(tmp_path: Path) -> None:
    stream = io.BytesIO()
    CsvSink(stream, header=False).write(BARE)
    assert stream.getvalue() == b"bare.jpg,,,,,,\n"
    assert write(tmp_path / "run.csv", []).read_bytes() == HEADER
