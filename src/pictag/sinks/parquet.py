"""Parquet: one row per image, for dataframes and databases. Needs ``pip install 'pictag[parquet]'``.

| column | type |
|---|---|
| ``source`` | string, not null |
| ``labels`` | list of struct(``label`` string, ``score`` double, ``index`` int64); null for a failure |
| ``error`` | struct(``kind`` string, ``message`` string); null without a failure |
| ``embedding`` | only if embeddings were asked for: list of float32; null for a failure |

Bytes of a file name that aren't UTF-8 are written as described in `pictag.sinks.escapes`. The sink is in
`pictag.sinks.unfinished`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pictag.errors import MissingExtra, UnreadableResults, shorten, shorten_reason
from pictag.records import Failure, Label, Prediction
from pictag.sinks.escapes import NAMES
from pictag.sinks.lines import FileName
from pictag.sinks.run_record import PARQUET_KEY, encode_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pictag.sinks.lines import FileName
from pictag.sinks.run_record import RunRecord

ROWS_PER_GROUP = 4096


def read_parquet(path: FileName) -> Iterator[Prediction]:
    """The predictions of a file, one by one.

    Raises `UnreadableResults`, and `MissingExtra` without pyarrow.
    """
    import_pyarrow()
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        with pq.ParquetFile(path) as file:
            if not any(file.schema_arrow.equals(_schema(embeddings=known)) for known in (False, True)):
                raise UnreadableResults(f"{shorten(path)} doesn't have the columns that pictag writes.")
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                yield from _from_batch(batch)
    except UnreadableResults:  # is an OSError too
        raise
    except (ArrowException, OSError) as error:
        raise _cannot_read(path, error) from error


def read_metadata(path: Path) -> dict[bytes, bytes]:
    """The key-value metadata of a file; raises `UnreadableResults`, and `MissingExtra` without pyarrow."""
    import_pyarrow()
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        return dict(pq.read_schema(path).metadata or {})
    except (ArrowException, OSError) as error:
        raise _cannot_read(path, error) from error


def write_parquet(
    stream: BinaryIO,
    predictions: Iterable[Prediction],
    *,
    embeddings: bool = False,
    record: RunRecord | None = None,
) -> None:
    """Write a whole file, in groups of rows. Raises ``OSError``.

    With ``embeddings`` there is a column for them; the ``record`` of model and options is in the metadata.
    """
    import_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(embeddings=embeddings)
    if record is not None:
        schema = schema.with_metadata({PARQUET_KEY: encode_record(record)})
    rows = map(_to_row, predictions)
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _cannot_read(path: FileName, error: Exception) -> UnreadableResults:
    number = error.errno if isinstance(error, OSError) else None
    return UnreadableResults(
        f"Cannot read {shorten(path)} as Parquet: {shorten_reason(error)}.", errno=number, filename=path
    )


def import_pyarrow() -> None:
    """Raise `MissingExtra` when pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401 - only to see if it is installed
    except ImportError as error:
        raise MissingExtra("Parquet needs pyarrow: pip install 'pictag[parquet]'") from error


def _schema(*, embeddings: bool) -> Any:
    import pyarrow as pa

    label = pa.struct([("label", pa.string()), ("score", pa.float64()), ("index", pa.int64())])
    failure = pa.struct([("kind", pa.string()), ("message", pa.string())])
    columns = [
        pa.field("source", pa.string(), nullable=False),
        pa.field("labels", pa.list_(label)),
        pa.field("error", failure),
    ]
    if embeddings:
        columns.append(pa.field("embedding", pa.list_(pa.float32())))
    return pa.schema(columns)


def _to_row(prediction: Prediction) -> dict[str, Any]:
    source, error = NAMES.escape(prediction.source), prediction.error
    if error is not None:
        failure = {"kind": error.kind, "message": NAMES.escape(error.message)}
        return {"source": source, "labels": None, "error": failure}
    labels = [{"label": NAMES.escape(e.label), "score": e.score, "index": e.index} for e in prediction.labels]
    return {"source": source, "labels": labels, "error": None, "embedding": prediction.embedding}


def _from_batch(batch: Any) -> Iterator[Prediction]:
    embeddings = None
    if "embedding" in batch.schema.names:  # a list of Python's numbers would take eight times the memory
        embeddings = batch.column("embedding")
        batch = batch.drop_columns(["embedding"])
    for index, row in enumerate(batch.to_pylist()):
        prediction = _from_row(row)
        if embeddings is not None and embeddings[index].is_valid:
            prediction = replace(prediction, embedding=embeddings[index].values.to_numpy())
        yield prediction


def _from_row(row: dict[str, Any]) -> Prediction:
    source, error = NAMES.restore(row["source"]), row["error"]
    if error is not None:
        failure = Failure(kind=error["kind"], message=NAMES.restore(error["message"]))
        return Prediction(source=source, error=failure)
    labels = (Label(**entry | {"label": NAMES.restore(entry["label"])}) for entry in row["labels"] or ())
    return Prediction(source=source, labels=tuple(labels))
