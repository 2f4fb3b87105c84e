from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from anyprediction import RUNS
from pictag.errors import OutputError, UnreadableResults
from pictag.records import Failure, Label, Prediction
from pictag.sinks import parquet
from pictag.sinks.parquet import ParquetSink, read_parquet

CAT = Prediction(source="cat.jpg", labels=(Label(label="cat", score=0.25, index=7),))
TORN = Prediction(source="torn.jpg", error=Failure(kind="CorruptImage", message="It ends too soon."))


@settings(max_examples=30)
@given(RUNS)
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, run: list[Prediction]
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "run.parquet"
    sink = ParquetSink(path)
    for prediction in run:
        sink.write(prediction)
    sink.close()
    assert list(read_parquet(path)) == run


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    sink = ParquetSink(path)
    sink.write(CAT)
    assert not path.exists()
    sink.close()
    sink.close()
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]


def test_rows_are_written_a_group_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 10)
    path = tmp_path / "run.parquet"
    sink = ParquetSink(path)
    for _ in range(25):
        sink.write(CAT)
    sink.close()
    assert pq.ParquetFile(path).num_row_groups == 3
    assert list(read_parquet(path)) == [CAT] * 25


def test_columns_are_those_that_are_documented(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "run.parquet"
    sink = ParquetSink(path)
    sink.write(CAT)
    sink.write(TORN)
    sink.close()
    assert pq.read_table(path).to_pylist() == [
        {"source": "cat.jpg", "labels": [{"label": "cat", "score": 0.25, "index": 7}], "error": None},
        {
            "source": "torn.jpg",
            "labels": None,
            "error": {"kind": "CorruptImage", "message": "It ends too soon."},
        },
    ]


def test_what_is_no_file_of_predictions_is_said(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "run.parquet"
    path.write_bytes(b"PAR1 no, not really")
    with pytest.raises(UnreadableResults, match=r"run\.parquet"):
        list(read_parquet(path))
    pq.write_table(pa.table({"name": ["x"]}), path)
    with pytest.raises(UnreadableResults, match="other columns"):
        list(read_parquet(path))


def test_a_folder_that_is_missing_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        ParquetSink(tmp_path / "nowhere" / "run.parquet")


def test_without_pyarrow_the_line_that_installs_it_is_said(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from pictag.sinks.parquet import ParquetSink\n"
        "from pictag.errors import MissingExtra\n"
        "try: ParquetSink(Path('x.parquet'))\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "pip install 'pictag[parquet]'" in done.stdout
