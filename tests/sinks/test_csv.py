from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyprediction import PREDICTIONS
from pictag.errors import UnreadableResults
from pictag.records import Label, Prediction
from pictag.sinks.csv import COLUMNS, HEADER, CsvSink, encode_csv, read_csv
from resultfiles import BARE, TORN, write

CAT = Prediction(
    source='a, "b"\r\n.jpg',
    labels=(Label(label="cat", score=0.1 + 0.2, index=7), Label(label="=dog()", score=0.25, index=1)),
)


def test_other_readers_see_one_row_per_label(tmp_path: Path) -> None:
    path = write(tmp_path / "run.csv", "csv", CAT, TORN, BARE)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        list(COLUMNS),
        ['a, "b"\\u000d\\u000a.jpg', "1", "cat", "0.30000000000000004", "7", "", ""],
        ['a, "b"\\u000d\\u000a.jpg', "2", "=dog()", "0.25", "1", "", ""],
        ["torn.jpg", "", "", "", "", "CorruptImage", "It ends, too soon."],
        ["bare.jpg", "", "", "", "", "", ""],
    ]


@given(PREDICTIONS)
def test_each_row_is_one_line_without_control_characters(prediction: Prediction) -> None:
    lines = encode_csv(prediction).splitlines(keepends=True)
    assert len(lines) == max(1, len(prediction.labels))
    assert all(line.endswith("\n") for line in lines)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in lines for c in line[:-1])


def test_names_that_were_written_with_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes(HEADER + b'"two\nlines.jpg",,,,,,\n')
    assert [p.source for p in read_csv(path)] == ["two\nlines.jpg"]


@pytest.mark.parametrize("name", ["a,b", 'a"b'])
def test_a_field_is_quoted_if_it_holds_a_delimiter(name: str) -> None:
    quoted = name.replace('"', '""')
    assert encode_csv(Prediction(source=name)) == f'"{quoted}",,,,,,\n'


def test_consecutive_images_of_one_name_stay_separate(tmp_path: Path) -> None:
    run = [CAT, CAT, BARE, BARE, TORN, TORN]
    assert list(read_csv(write(tmp_path / "run.csv", "csv", *run))) == run


@given(st.integers(0, 400))
def test_an_image_whose_rows_were_cut_off_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    blocks = [HEADER, *(encode_csv(p).encode() for p in (CAT, TORN, BARE))]
    ends = [sum(map(len, blocks[: i + 1])) for i in range(4)]
    path = tmp_path_factory.mktemp("torn") / "run.csv"
    path.write_bytes(b"".join(blocks)[:cut])
    complete = [p for p, end in zip((CAT, TORN, BARE), ends[1:], strict=True) if cut >= end]
    between_rows = ends[0] + encode_csv(CAT).index("7,,\n") + len("7,,\n")
    if cut == between_rows:  # a missing second row can't be noticed
        complete = [Prediction(source=CAT.source, labels=CAT.labels[:1])]
    elif cut not in ends and cut < ends[-1]:  # the torn row may have been one of the image before it
        complete = complete[:-1]
    assert list(read_csv(path)) == complete


@pytest.mark.parametrize(
    "row",
    [
        b"hello",
        b"a,b",
        b"a,one,b,c,d,,",
        b"\xff,1,a,0.5,1,,",
        b'a"b"c,"d"e,,,,,',
        b'"never closed' + b"\nx" * 10**5,
    ],
)
def test_a_row_that_is_not_a_prediction_is_named(tmp_path: Path, row: bytes) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes(HEADER + encode_csv(BARE).encode() + row + b"\n")
    with pytest.raises(UnreadableResults, match=r"Line \d+ of .*run\.csv"):
        list(read_csv(path))


def test_the_header_is_written_once(tmp_path: Path) -> None:
    stream = io.BytesIO()
    CsvSink(stream, header=False).write(BARE)
    assert stream.getvalue() == b"bare.jpg,,,,,,\n"
    assert write(tmp_path / "run.csv", "csv").read_bytes() == HEADER
