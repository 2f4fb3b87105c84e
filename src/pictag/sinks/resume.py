"""Continue a result file: find the images that it already has and open it for more.

A last line that a crash has cut off is removed first. Only hashes of the sources are kept in memory, 8 bytes
each: 80 MB for a file of ten million images.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from pictag.errors import OutputError, shorten
from pictag.replacement import find_file, replace_file
from pictag.sinks.csv import CsvSink, has_embeddings, scan_csv
from pictag.sinks.jsonl import JsonlSink, scan_jsonl
from pictag.sinks.lines import open_lines, write_whole
from pictag.sinks.run_record import (
    RunRecord,
    check_record,
    check_record_path,
    read_record,
    write_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.records import Prediction
    from pictag.sinks import Sink

FileFormat = Literal["jsonl", "csv", "parquet"]
_SCANNERS = {"jsonl": scan_jsonl, "csv": scan_csv}


class DoneSources:
    """The images in a result file and which of them failed; call `sort` before asking ``"a.jpg" in done``."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._failed: set[int] = set()

    def add(self, prediction: Prediction) -> None:
        """Add an image of the file."""
        code = _hash(prediction.source)
        self._hashes.append(code)
        if prediction.error is not None:
            self._failed.add(code)

    def sort(self) -> None:
        """Prepare for look-ups, which are thread-safe afterwards."""
        import numpy as np

        np.frombuffer(self._hashes, dtype=np.uint64).sort()

    def has_failed(self, source: str) -> bool:
        """Whether the file has a failure for this image."""
        return _hash(source) in self._failed

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, source: str) -> bool:
        code = _hash(source)
        place = bisect_left(self._hashes, code)
        return place < len(self._hashes) and self._hashes[place] == code


def open_sink(
    path: Path, file_format: FileFormat, *, embeddings: bool = False, record: RunRecord | None = None
) -> Sink:
    """A sink that writes a new file; ``embeddings`` says whether the predictions have them.

    The ``record`` of the model and options is kept with the file.
    """
    if file_format == "parquet":
        from pictag.sinks.unfinished import open_parquet

        return open_parquet(path, embeddings=embeddings, record=record)
    if record is not None:
        check_record_path(path)
    lines = open_lines(path)  # empties the file first, so that old rows never get the new record
    try:
        if record is not None:
            write_record(path, record)
    except BaseException:
        lines.close()
        raise
    return _start(lines, file_format, header=True, embeddings=embeddings)


def reopen_sink(
    path: Path,
    file_format: FileFormat,
    *,
    retry_failed: bool = False,
    embeddings: bool = False,
    record: RunRecord | None = None,
) -> tuple[Sink, DoneSources]:
    """A sink that continues the file, and the images that the file already has.

    With ``retry_failed`` the images that failed are first removed from the file. A missing or empty file is
    created. Raises `pictag.errors.UnreadableResults` for a file that pictag has not written, and
    `pictag.errors.OutputError` for one that has embeddings where these predictions have none, or vice versa,
    or that was written with another ``record``. A file without a record is continued with a `PictagWarning`.
    """
    if file_format == "parquet":
        return _reopen_parquet(path, retry_failed=retry_failed, embeddings=embeddings, record=record)
    done = DoneSources()
    find_file(path, reason="so it can't be continued")
    if _is_new(path):
        return open_sink(path, file_format, embeddings=embeddings, record=record), done
    _check_file(path, file_format, embeddings=embeddings, record=record)
    if retry_failed:
        _drop_failed(path, file_format, embeddings=embeddings)
    sink = _append(path, file_format, done, embeddings=embeddings)
    done.sort()
    return sink, done


def _reopen_parquet(
    path: Path, *, retry_failed: bool, embeddings: bool, record: RunRecord | None
) -> tuple[Sink, DoneSources]:
    """Continue the rows of an unfinished run, or begin new ones that are added to those of the file."""
    from pictag.sinks import unfinished
    from pictag.sinks.parquet import read_parquet

    done = DoneSources()
    target = unfinished.find_parquet_file(path)
    unfinished.recover(target)
    journal = unfinished.journal_path(target)
    if _is_new(target) and _is_new(journal):
        return unfinished.open_parquet(path, embeddings=embeddings, record=record), done
    kept = record
    files: tuple[tuple[Path, FileFormat], ...] = ((journal, "jsonl"), (target, "parquet"))
    for file, file_format in files:
        if not _is_new(file):
            kept = _check_file(file, file_format, embeddings=embeddings, record=record)
            if retry_failed:
                _drop_failed(file, file_format, embeddings=embeddings)
    if not _is_new(target):
        for prediction in read_parquet(target):
            done.add(prediction)
    if _is_new(journal):
        rows: Sink = unfinished.start_journal(target, record)
    else:
        rows = _append(journal, "jsonl", done, embeddings=embeddings)
    done.sort()
    return unfinished.ParquetSink(target, rows, embeddings=embeddings, record=kept), done


def _is_new(path: Path) -> bool:
    return not path.exists() or not path.stat().st_size


def _check_file(
    path: Path, file_format: FileFormat, *, embeddings: bool, record: RunRecord | None
) -> RunRecord | None:
    """Raise `OutputError` for a file whose rows differ from these predictions; returns the file's record."""
    if file_format == "csv":
        has = has_embeddings(path)
    else:
        has = next((p.embedding is not None for p in _read(path, file_format) if p.error is None), None)
    if has is not None and has is not embeddings:
        which, how = ("embeddings", "with") if has else ("no embeddings", "without")
        raise OutputError(
            f"{shorten(path)} has {which}. Continue it {how} --embeddings, or replace it with --overwrite."
        )
    if record is None:
        return None
    found = read_record(path, file_format)
    check_record(path, found, record)
    return found


def _append(path: Path, file_format: FileFormat, done: DoneSources, *, embeddings: bool) -> Sink:
    """Note the images that the file has, cut off a torn last line, and continue after it."""
    end = 0
    for end, prediction in _SCANNERS[file_format](path):  # noqa: B007 - the last one is used below
        done.add(prediction)
    try:
        os.truncate(path, end)
        with path.open("rb") as stream:
            stream.seek(max(end - 1, 0))
            complete = stream.read(1) in (b"\n", b"")
    except OSError as error:
        raise OutputError(
            f"Cannot continue {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error
    lines = open_lines(path, append=True)
    if not complete:  # only the line end is missing
        write_whole(lines, b"\n")
    return _start(lines, file_format, header=end == 0, embeddings=embeddings)


def _start(stream: BinaryIO, file_format: FileFormat, *, header: bool, embeddings: bool) -> Sink:
    if file_format == "jsonl":
        return JsonlSink(stream)
    try:
        return CsvSink(stream, header=header, embeddings=embeddings)
    except BaseException:
        stream.close()
        raise


def _drop_failed(path: Path, file_format: FileFormat, *, embeddings: bool) -> None:
    rows = (prediction for prediction in _read(path, file_format) if prediction.error is None)
    with replace_file(path) as stream:
        if file_format == "parquet":
            from pictag.sinks.parquet import write_parquet

            write_parquet(stream, rows, embeddings=embeddings, record=read_record(path, file_format))
        else:
            sink = _start(stream, file_format, header=True, embeddings=embeddings)
            for prediction in rows:
                sink.write(prediction)


def _read(path: Path, file_format: FileFormat) -> Iterator[Prediction]:
    if file_format == "parquet":
        from pictag.sinks.parquet import read_parquet

        return read_parquet(path)
    return (prediction for _, prediction in _SCANNERS[file_format](path))


def _hash(source: str) -> int:
    digest = hashlib.blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
