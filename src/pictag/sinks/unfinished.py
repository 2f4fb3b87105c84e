"""Parquet files whose run has not ended.

A Parquet file ends with its table of contents, so one that was cut off can't be read. Until the run ends, its
rows are therefore in ``NAME.unfinished.jsonl``, as `pictag.sinks.jsonl` writes them, and survive a crash. At
the end the file is made of its old rows, if it is continued, and of these:

1. ``NAME.pictag-part`` is written,
2. ``NAME.unfinished.jsonl`` is deleted,
3. ``NAME.pictag-part`` is renamed to ``NAME``.

A ``NAME.pictag-part`` without ``NAME.unfinished.jsonl`` is therefore complete.
"""

from __future__ import annotations

import os
from errno import EIO
from itertools import chain
from typing import TYPE_CHECKING

from pictag.errors import OutputError, shorten
from pictag.replacement import create_file, find_file, part_path
from pictag.sinks.jsonl import JsonlSink, read_jsonl
from pictag.sinks.lines import open_lines
from pictag.sinks.parquet import import_pyarrow, read_parquet, write_parquet
from pictag.sinks.run_record import record_path, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pictag.records import Prediction
    from pictag.sinks import Sink
    from pictag.sinks.run_record import RunRecord


def find_parquet_file(path: Path) -> Path:
    """The file that a path names, after links. Raises `OutputError` for pipes and devices."""
    return find_file(path, reason="and Parquet can't be written to it. Use --format jsonl or csv")


def journal_path(target: Path) -> Path:
    """The file with the rows of a run that has not ended.

    >>> from pathlib import Path
    >>> journal_path(Path("photos/labels.parquet")).name
    'labels.parquet.unfinished.jsonl'
    """
    return target.with_name(f"{target.name}.unfinished.jsonl")


def find_unfinished(path: Path) -> Path | None:
    """The file with the rows of a run that was killed, ``None`` if there are none."""
    target = find_parquet_file(path)
    journal = journal_path(target)
    if journal.is_file():
        return journal if journal.stat().st_size else None
    part = part_path(target)
    return part if part.is_file() else None


def recover(target: Path) -> None:
    """Finish a run that was killed just before its file got its name. Raises `OutputError`."""
    part = part_path(target)
    try:
        if part.is_file() and not journal_path(target).exists():
            part.replace(target)
    except OSError as error:
        raise _cannot("finish", target, error) from error


def discard_unfinished(target: Path) -> None:
    """Delete the rows of a run that was killed. Raises `OutputError`."""
    try:
        for path in (part_path(target), journal_path(target), record_path(journal_path(target))):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot("replace", target, error) from error


def open_parquet(path: Path, *, embeddings: bool = False, record: RunRecord | None = None) -> ParquetSink:
    """A sink that writes a new file, or replaces an existing one. Raises `OutputError`, `MissingExtra`."""
    import_pyarrow()
    target = find_parquet_file(path)
    discard_unfinished(target)
    rows = start_journal(target, record)
    try:
        if target.exists():
            os.truncate(target, 0)  # keeps its permissions
    except OSError as error:
        rows.close()
        raise _cannot("replace", target, error) from error
    return ParquetSink(target, rows, embeddings=embeddings, record=record)


def start_journal(target: Path, record: RunRecord | None) -> JsonlSink:
    """Create the file for the rows of a run. Raises `OutputError`."""
    journal = journal_path(target)
    try:
        create_file(journal, like=target).close()
    except OSError as error:
        raise _cannot("write", journal, error) from error
    if record is not None:
        write_record(journal, record)
    return JsonlSink(open_lines(journal, append=True))


class ParquetSink:
    """Writes rows to the journal of the file ``target``, and makes the file when it is closed.

    With ``embeddings`` there is a column for them; the ``record`` of model and options is in the metadata.
    """

    def __init__(self, target: Path, rows: Sink, *, embeddings: bool, record: RunRecord | None) -> None:
        self._target = target
        self._rows = rows
        self._embeddings = embeddings
        self._record = record
        self._is_done = False

    def write(self, prediction: Prediction) -> None:
        """Add one row; it is in the journal when this returns."""
        try:
            self._rows.write(prediction)
        except OutputError:
            self._is_done = True  # a disk that is full has no room for the Parquet file
            raise

    def close(self) -> None:
        """Make the Parquet file. Raises `OutputError`; the rows are then still in the journal."""
        self._rows.close()
        if self._is_done:
            return
        self._is_done = True
        target, journal = self._target, journal_path(self._target)
        try:
            try:
                with create_file(part_path(target), like=target) as part:
                    rows = chain(_read_old(target), read_jsonl(journal))
                    write_parquet(part, rows, embeddings=self._embeddings, record=self._record)
                    part.flush()
                    os.fsync(part.fileno())
            except BaseException:
                part_path(target).unlink(missing_ok=True)
                raise
            journal.unlink()
            record_path(journal).unlink(missing_ok=True)
            part_path(target).replace(target)
        except OSError as error:
            advice = f"The results are in {shorten(journal)}, and --resume continues from there."
            raise OutputError(
                f"Cannot finish {shorten(target)}: {shorten(error.strerror or error)}. {advice}",
                errno=error.errno or EIO,
                filename=target,
            ) from error


def _read_old(target: Path) -> Iterator[Prediction]:
    if target.exists() and target.stat().st_size:
        yield from read_parquet(target)


def _cannot(what: str, target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Cannot {what} {shorten(target)}: {shorten(error.strerror or error)}.",
        errno=error.errno,
        filename=target,
    )
