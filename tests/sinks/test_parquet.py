from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pictag.errors import UnreadableResults
from pictag.sinks import parquet
from pictag.sinks.parquet import read_parquet
from resultfiles import CAT, TORN, write


def test_rows_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 10)
    path = write(tmp_path / "run.parquet", "parquet", *[CAT] * 25)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert list(read_parquet(path)) == [CAT] * 25


def test_the_columns_are_the_documented_ones(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert pq.read_table(write(tmp_path / "run.parquet", "parquet", CAT, TORN)).to_pylist() == [
        {"source": "cat.jpg", "labels": [{"label": "cat", "score": 0.25, "index": 7}] * 3, "error": None},
        {
            "source": "torn.jpg",
            "labels": None,
            "error": {"kind": "CorruptImage", "message": "It ends, too soon."},
        },
    ]


def test_a_file_with_other_columns_is_rejected(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "run.parquet"
    pq.write_table(pa.table({"name": ["x"]}), path)
    with pytest.raises(UnreadableResults, match="doesn't have the columns"):
        list(read_parquet(path))


def test_without_pyarrow_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from pictag.sinks.resume import open_sink\n"
        "from pictag.errors import MissingExtra\n"
        "try: open_sink(Path('x.parquet'), 'parquet')\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "pip install 'pictag[parquet]'" in done.stdout
