"""Embeddings in result files."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from anyprediction import EMBEDDED_RUNS
from pictag.errors import OutputError, UnreadableResults
from pictag.records import Prediction
from pictag.sinks.csv import COLUMNS, read_csv
from pictag.sinks.jsonl import decode_json, encode_json
from pictag.sinks.resume import FileFormat, reopen_sink
from resultfiles import BARE, CAT, DOG, FORMATS, READERS, TORN, write

each_format = pytest.mark.parametrize("file_format", FORMATS)
TENTHS = np.array([0.1, -2.5e-8, 3], np.float32)
EMBEDDED = replace(CAT, embedding=TENTHS)


def values_of(prediction: Prediction) -> list[float] | None:
    embedding = prediction.embedding
    if embedding is None:
        return None
    assert embedding.dtype == np.float32
    return [float(value) for value in embedding]


@each_format
@settings(max_examples=30)
@given(run=EMBEDDED_RUNS)
def test_a_file_gives_back_the_exact_embeddings(
    tmp_path_factory: pytest.TempPathFactory, run: list[Prediction], file_format: FileFormat
) -> None:
    path = write(tmp_path_factory.mktemp("run") / "run", file_format, *run, embeddings=True)
    found = list(READERS[file_format](path))
    assert found == run
    assert [values_of(prediction) for prediction in found] == [values_of(prediction) for prediction in run]


@each_format
def test_without_embeddings_there_is_no_column(tmp_path: Path, file_format: FileFormat) -> None:
    path = write(tmp_path / "run", file_format, CAT)
    assert b"embedding" not in path.read_bytes()
    assert next(READERS[file_format](path)).embedding is None


def test_json_has_the_digits_of_float32() -> None:
    assert encode_json(EMBEDDED).endswith('], "embedding": [0.1, -2.5e-08, 3.0]}')


def test_values_that_are_not_finite_are_valid_json() -> None:
    line = encode_json(replace(CAT, embedding=np.array([np.nan, np.inf, -np.inf, 1.5], np.float32)))

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    json.loads(line, parse_constant=refuse)
    back = values_of(decode_json(line))
    assert back is not None
    assert math.isnan(back[0])
    assert back[1:] == pytest.approx([3.4028235e38, -3.4028235e38, 1.5])


def test_csv_has_json_in_the_first_row_of_each_image(tmp_path: Path) -> None:
    path = write(tmp_path / "run.csv", "csv", EMBEDDED, TORN, embeddings=True)
    with path.open(encoding="utf-8", newline="") as stream:
        head, *rows = list(csv.reader(stream))
    assert head == [*COLUMNS, "embedding"]
    assert [row[-1] for row in rows] == ["[0.1, -2.5e-08, 3.0]", "", "", ""]


def test_parquet_has_a_list_of_float32(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(write(tmp_path / "run.parquet", "parquet", EMBEDDED, TORN, embeddings=True))
    assert table.schema.field("embedding").type == pa.list_(pa.float32())
    assert table.column("embedding").to_pylist() == [[float(value) for value in TENTHS], None]


@each_format
@pytest.mark.parametrize("retry_failed", [False, True])
def test_a_run_with_embeddings_continues(tmp_path: Path, file_format: FileFormat, retry_failed: bool) -> None:
    path = write(tmp_path / "run", file_format, TORN, EMBEDDED, embeddings=True)
    sink, done = reopen_sink(path, file_format, retry_failed=retry_failed, embeddings=True)
    assert ("cat.jpg" in done, "torn.jpg" in done) == (True, not retry_failed)
    sink.write(replace(DOG, embedding=-TENTHS))
    sink.close()
    found = [prediction.embedding for prediction in READERS[file_format](path) if prediction.error is None]
    expected: list[NDArray[np.float32]] = [TENTHS, -TENTHS]
    np.testing.assert_array_equal(found, expected)


@each_format
@pytest.mark.parametrize(("has", "which"), [(True, "has embeddings"), (False, "has no embeddings")])
def test_a_file_of_the_other_kind_is_not_continued(
    tmp_path: Path, file_format: FileFormat, has: bool, which: str
) -> None:
    path = write(tmp_path / "run", file_format, TORN, EMBEDDED if has else CAT, embeddings=has)
    before = path.read_bytes()
    for retry_failed in (False, True):
        with pytest.raises(OutputError, match=rf"{which}\. Continue it with.* --embeddings"):
            reopen_sink(path, file_format, retry_failed=retry_failed, embeddings=not has)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_csv_file_keeps_its_columns_even_without_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "run.csv", "csv", embeddings=True)
    with pytest.raises(OutputError, match="has embeddings"):
        reopen_sink(path, "csv")


@pytest.mark.parametrize("cell", ["[1, x]", "3", '["1"]', "[[1]]", "[" * 100_000, f"[1{'0' * 400}]"])
def test_a_cell_that_is_not_an_embedding_is_named(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "run.csv", "csv", BARE, embeddings=True)
    with path.open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerow(["a.jpg", "", "", "", "", "", "", cell])
    with pytest.raises(UnreadableResults, match=r"Line 3 of .*run\.csv"):
        list(read_csv(path))


@pytest.mark.parametrize("cell", ['[1, "x"]', "3", "[[1]]", "[true]", f"[1{'0' * 400}]"])
def test_json_that_is_not_an_embedding_is_an_error(cell: str) -> None:
    with pytest.raises(ValueError, match="embedding"):
        decode_json(f'{{"source": "a.jpg", "labels": [], "embedding": {cell}}}')
