from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyprediction import PREDICTIONS
from pictag.errors import OutputError, UnreadableResults
from pictag.records import Label, Prediction
from pictag.sinks.jsonl import JsonlSink, decode_json, encode_json, read_jsonl
from pictag.sinks.lines import open_lines, write_whole
from resultfiles import TORN

TIGER = Prediction(source="tiger.jpg", labels=(Label(label="tiger", score=0.9, index=292),))


@given(PREDICTIONS)
def test_a_line_is_valid_utf8_without_control_characters(prediction: Prediction) -> None:
    line = encode_json(prediction)
    assert decode_json(line) == prediction
    line.encode("utf-8")
    assert len(line.splitlines()) == 1
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)


def test_the_keys_are_the_documented_ones() -> None:
    assert json.loads(encode_json(TIGER)) == {
        "source": "tiger.jpg",
        "labels": [{"label": "tiger", "score": 0.9, "index": 292}],
    }
    assert json.loads(encode_json(TORN)) == {
        "source": "torn.jpg",
        "error": {"kind": "CorruptImage", "message": "It ends, too soon."},
    }


def test_a_file_name_that_is_not_utf8_can_be_found_again() -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    line = encode_json(Prediction(source=name)).encode("utf-8")
    assert os.fsencode(json.loads(line)["source"]) == b"caf\xe9.jpg"


def test_scores_that_are_not_finite_are_valid_json() -> None:
    scores = (math.nan, math.inf, -math.inf, 1.5)
    odd = Prediction(source="a", labels=tuple(Label(label='"score": NaN', score=s, index=0) for s in scores))
    line = encode_json(odd)

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    json.loads(line, parse_constant=refuse)
    back = [label.score for label in decode_json(line).labels]
    assert {label.label for label in decode_json(line).labels} == {'"score": NaN'}
    assert math.isnan(back[0])
    assert back[1:] == [3.4028235e38, -3.4028235e38, 1.5]


@given(st.integers(0, 200))
def test_a_last_line_that_was_cut_off_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    whole = "".join(encode_json(p) + "\n" for p in (TIGER, TORN)).encode()
    path = tmp_path_factory.mktemp("torn") / "run.jsonl"
    path.write_bytes(whole[:cut])
    # A line that only lacks its line end is complete.
    ends = (whole.index(b"\n"), len(whole) - 1)
    complete = [p for p, end in zip((TIGER, TORN), ends, strict=True) if cut >= end]
    assert list(read_jsonl(path)) == complete


@pytest.mark.parametrize(
    "wrong",
    [b"hello\n", b"[]\n", b'{"source": 3}\n', b'{"source": "a"}\n', b"\xff\xfe\n", b"shopping list"],
)
def test_a_line_that_is_not_a_prediction_is_named(tmp_path: Path, wrong: bytes) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(encode_json(TIGER).encode() + b"\n" + wrong)
    with pytest.raises(UnreadableResults, match=r"Line 2 of .*run\.jsonl"):
        list(read_jsonl(path))


def test_a_line_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    sink = JsonlSink(open_lines(path))
    sink.write(TIGER)
    assert list(read_jsonl(path)) == [TIGER]
    sink.close()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    class FullDisk(io.FileIO):
        room = 100

        def write(self, data: object) -> int:
            block = bytes(data)[: self.room]  # type: ignore[call-overload]
            if not block:
                raise OSError(28, "No space left on device")
            self.room -= len(block)
            return super().write(block)

    path = tmp_path / "run.jsonl"
    sink = JsonlSink(FullDisk(path, "wb"))
    sink.write(TIGER)
    with pytest.raises(OutputError, match="No space left on device"):
        sink.write(TORN)
    sink.close()
    assert path.read_bytes() == encode_json(TIGER).encode() + b"\n"


def test_a_closed_pipe_is_not_an_output_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):
        write_whole(stream, b"line\n")
