"""Parquet: one row an image, for dataframes and databases. Needs ``pip install 'pictag[parquet]'``.

| column | type |
|---|---|
| ``source`` | string, not null |
| ``labels`` | list of struct(``label`` string, ``score`` double, ``index`` int64); null after a failure |
| ``error`` | struct(``kind`` string, ``message`` string); null where it did not |

Bytes of a file name that are not UTF-8 appear as `pictag.sinks.names` says. A Parquet file has its table of
contents at its end, so rows go to ``NAME.part`` first, which takes the name that was asked for when the
sink is closed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictag.errors import MissingExtra, OutputError, UnreadableResults, shorten
from pictag.records import Failure, Label, Prediction
from pictag.sinks.names import escape_name, restore_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROWS_A_GROUP = 4096


def read_parquet(path: Path) -> Iterator[Prediction]:
    """The predictions of a file, one by one.

    Raises `UnreadableResults`, and `MissingExtra` without pyarrow.
    """
    import_pyarrow()
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(_schema()):
                raise UnreadableResults(f"{shorten(path)} has other columns than pictag writes.")
            for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
                yield from map(_from_row, batch.to_pylist())
    except UnreadableResults:  # is an OSError too
        raise
    except (ArrowException, OSError) as error:
        raise UnreadableResults(f"Cannot read {shorten(path)} as Parquet: {shorten(error)}.") from error


class ParquetSink:
    """Writes Parquet, a group of rows at a time; the file has its name when the sink is closed."""

    def __init__(self, path: Path) -> None:
        import_pyarrow()
        import pyarrow.parquet as pq

        self._path = path.resolve()  # what a link leads to is replaced, not the link
        self._part = self._path.with_name(self._path.name + ".part")
        self._rows: list[dict[str, Any]] = []
        try:
            self._writer: Any = pq.ParquetWriter(self._part, _schema(), compression="zstd")
        except OSError as error:
            raise OutputError(f"Cannot write {shorten(path)}: {shorten(error.strerror or error)}.") from error

    def write(self, prediction: Prediction) -> None:
        """Take one row; it is on the disk when its group is full or the sink is closed."""
        self._rows.append(_to_row(prediction))
        if len(self._rows) >= ROWS_A_GROUP:
            self._write_group()

    def close(self) -> None:
        """Write the last rows and give the file its name."""
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
        """Forget what was written; a file that had the name before keeps it."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._part.unlink(missing_ok=True)

    def _write_group(self) -> None:
        import pyarrow as pa

        rows, self._rows = self._rows, []
        try:
            self._writer.write_table(pa.Table.from_pylist(rows, schema=_schema()))
        except OSError as error:
            # Half a group is on the disk: what there is cannot become a file that anything reads.
            self._writer = None
            raise OutputError(f"Cannot write to {shorten(self._part)}: {shorten(error)}.") from error


def import_pyarrow() -> None:
    """Raise `MissingExtra` when pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401 - whether it can be
    except ImportError as error:
        raise MissingExtra("Parquet needs pyarrow: pip install 'pictag[parquet]'") from error


def _schema() -> Any:
    import pyarrow as pa

    label = pa.struct([("label", pa.string()), ("score", pa.float64()), ("index", pa.int64())])
    failure = pa.struct([("kind", pa.string()), ("message", pa.string())])
    return pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("labels", pa.list_(label)),
            pa.field("error", failure),
        ]
    )


def _to_row(prediction: Prediction) -> dict[str, Any]:
    source, error = escape_name(prediction.source), prediction.error
    if error is not None:
        failure = {"kind": error.kind, "message": escape_name(error.message)}
        return {"source": source, "labels": None, "error": failure}
    labels = [{"label": escape_name(e.label), "score": e.score, "index": e.index} for e in prediction.labels]
    return {"source": source, "labels": labels, "error": None}


def _from_row(row: dict[str, Any]) -> Prediction:
    source, error = restore_name(row["source"]), row["error"]
    if error is not None:
        failure = Failure(kind=error["kind"], message=restore_name(error["message"]))
        return Prediction(source=source, error=failure)
    return Prediction(source=source, labels=_from_labels(row["labels"] or ()))


def _from_labels(entries: Sequence[dict[str, Any]]) -> tuple[Label, ...]:
    return tuple(Label(label=restore_name(e["label"]), score=e["score"], index=e["index"]) for e in entries)
