"""Parquet: one row per image, for dataframes and databases. Needs ``pip install 'pictag[parquet]'``.

| column | type |
|---|---|
| ``source`` | string, not null |
| ``labels`` | list of struct(``label`` string, ``score`` double, ``index`` int64); null for a failure |
| ``error`` | struct(``kind`` string, ``message`` string); null without a failure |
| ``embedding`` | only if embeddings were asked for: list of float32; null for a failure |

Bytes of a file name that aren't UTF-8 are written as described in `pictag.sinks.names`. A Parquet file ends
with its table of contents, so rows are written to ``NAME.part``, which is renamed when the sink is closed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictag.errors import MissingExtra, OutputError, UnreadableResults, shorten
from pictag.records import Failure, Label, Prediction
from pictag.sinks.names import escape_name, restore_name
from pictag.sinks.run_record import PARQUET_KEY, encode_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.sinks.run_record import RunRecord

ROWS_PER_GROUP = 4096


def read_parquet(path: Path) -> Iterator[Prediction]:
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
        raise UnreadableResults(f"Cannot read {shorten(path)} as Parquet: {shorten(error)}.") from error


def read_metadata(path: Path) -> dict[bytes, bytes]:
    """The key-value metadata of a file; raises `UnreadableResults`, and `MissingExtra` without pyarrow."""
    import_pyarrow()
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        return dict(pq.read_schema(path).metadata or {})
    except (ArrowException, OSError) as error:
        raise UnreadableResults(f"Cannot read {shorten(path)} as Parquet: {shorten(error)}.") from error


class ParquetSink:
    """Writes Parquet in groups of rows; the file gets its name when the sink is closed.

    With ``embeddings`` there is a column for them; the ``record`` of model and options is in the metadata.
    """

    def __init__(self, path: Path, *, embeddings: bool = False, record: RunRecord | None = None) -> None:
        import_pyarrow()
        import pyarrow.parquet as pq

        self._path = path.resolve()  # replace the target of a link, not the link
        self._part = self._path.with_name(self._path.name + ".part")
        self._rows: list[dict[str, Any]] = []
        self._schema = _schema(embeddings=embeddings)
        if record is not None:
            self._schema = self._schema.with_metadata({PARQUET_KEY: encode_record(record)})
        try:
            self._writer: Any = pq.ParquetWriter(self._part, self._schema, compression="zstd")
        except OSError as error:
            raise OutputError(f"Cannot write {shorten(path)}: {shorten(error.strerror or error)}.") from error

    def write(self, prediction: Prediction) -> None:
        """Add one row; it is written when its group is full or the sink is closed."""
        self._rows.append(_to_row(prediction))
        if len(self._rows) >= ROWS_PER_GROUP:
            self._write_group()

    def close(self) -> None:
        """Write the remaining rows and give the file its name."""
        if self._writer is None:
            return
        if self._rows:
            self._write_group()
        writer, self._writer = self._writer, None
        try:
            writer.close()
            self._part.replace(self._path)
        except OSError as error:
            raise OutputError(f"Cannot finish {shorten(self._path)}: {shorten(error)}.") from error

    def discard(self) -> None:
        """Delete what was written; an existing file of that name stays."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._part.unlink(missing_ok=True)

    def _write_group(self) -> None:
        import pyarrow as pa

        rows, self._rows = self._rows, []
        try:
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        except OSError as error:
            # Part of a group has been written, so the file can't be completed.
            self._writer = None
            raise OutputError(f"Cannot write to {shorten(self._part)}: {shorten(error)}.") from error


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
    source, error = escape_name(prediction.source), prediction.error
    if error is not None:
        failure = {"kind": error.kind, "message": escape_name(error.message)}
        return {"source": source, "labels": None, "error": failure}
    labels = [{"label": escape_name(e.label), "score": e.score, "index": e.index} for e in prediction.labels]
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
    source, error = restore_name(row["source"]), row["error"]
    if error is not None:
        failure = Failure(kind=error["kind"], message=restore_name(error["message"]))
        return Prediction(source=source, error=failure)
    labels = (Label(**entry | {"label": restore_name(entry["label"])}) for entry in row["labels"] or ())
    return Prediction(source=source, labels=tuple(labels))
