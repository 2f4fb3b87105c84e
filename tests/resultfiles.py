"""Predictions, and result files in each format."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from pictag.records import Failure, Label, Prediction
from pictag.sinks.csv import read_csv
from pictag.sinks.jsonl import read_jsonl
from pictag.sinks.parquet import read_parquet
from pictag.sinks.resume import FileFormat, open_sink

READERS = {"jsonl": read_jsonl, "csv": read_csv, "parquet": read_parquet}
NO_PYARROW = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pip install 'pictag[parquet]'")
FORMATS = ["jsonl", "csv", pytest.param("parquet", marks=NO_PYARROW)]
CAT = Prediction(source="cat.jpg", labels=(Label(label="cat", score=0.25, index=7),) * 3)
DOG = Prediction(source="dog\n.jpg", labels=(Label(label="dog", score=0.5, index=8),))
TORN = Prediction(source="torn.jpg", error=Failure(kind="CorruptImage", message="It ends, too soon."))
BARE = Prediction(source="bare.jpg")


def write(path: Path, file_format: FileFormat, *run: Prediction, embeddings: bool = False) -> Path:
    """Write a file of these predictions."""
    sink = open_sink(path, file_format, embeddings=embeddings)
    for prediction in run:
        sink.write(prediction)
    sink.close()
    return path
