"""Going on where a run has stopped: which images a file of results has already, and making it fit to go on.

A last line that a crash has cut off is taken off first. Only hashes of the sources are kept, 8 bytes each,
so that a file of ten million images needs 80 MB.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from bisect import bisect_left
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from pictag.errors import OutputError, shorten
from pictag.sinks.csv import HEADER, CsvSink, scan_csv
from pictag.sinks.jsonl import JsonlSink, scan_jsonl
from pictag.sinks.lines import open_lines, write_whole

if TYPE_CHECKING:
    from pictag.records import Prediction
    from pictag.sinks import Sink

FileFormat = Literal["jsonl", "csv", "parquet"]


class DoneSources:
    """The images that a file of results has: ``"a.jpg" in done``, and whether one of them has failed."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._sorted = True
        self._failed: set[int] = set()

    def add(self, prediction: Prediction) -> None:
        """Note an image of the file."""
        code = _hash(prediction.source)
        self._hashes.append(code)
        self._sorted = False
        if prediction.error is not None:
            self._failed.add(code)

    def sort(self) -> None:
        """Make ready for questions, which threads may then ask at the same time."""
        import numpy as np

        np.frombuffer(self._hashes, dtype=np.uint64).sort()
        self._sorted = True

    def has_failed(self, source: str) -> bool:
        """Whether the file has a failure for this image."""
        return _hash(source) in self._failed

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, source: str) -> bool:
        if not self._sorted:
            self.sort()
        code = _hash(source)
        place = bisect_left(self._hashes, code)
        return place < len(self._hashes) and self._hashes[place] == code


def open_sink(path: Path, file_format: FileFormat) -> Sink:
    """A sink that begins the file anew."""
    if file_format == "parquet":
        from pictag.sinks.parquet import ParquetSink

        return ParquetSink(path)
    return _begin(open_lines(path), file_format, header=True)


def reopen_sink(
    path: Path,
    file_format: FileFormat,
    *,
    retry_failed: bool = False,
) -> tuple[Sink, DoneSources]:
    """A sink that goes on at the end of the file, and the images that the file has.

    With ``retry_failed`` the images that failed are taken out of the file first. A file that is missing
    is begun. Raises `pictag.errors.UnreadableResults` for a file that pictag has not written.
    """
    done = DoneSources()
    if not path.exists():
        return open_sink(path, file_format), done
    if file_format == "parquet":
        sink = _copy_parquet(path, done, retry_failed=retry_failed)
    else:
        if retry_failed:
            _drop_failed(path, file_format)
        sink = _append(path, file_format, _scan_lines(path, file_format, done))
    done.sort()
    return sink, done


def _scan_lines(path: Path, file_format: FileFormat, done: DoneSources) -> int:
    """Note what the file has; gives the offset at which it goes on."""
    end = len(HEADER) if file_format == "csv" and _starts_with_header(path) else 0
    for offset, prediction in (scan_csv if file_format == "csv" else scan_jsonl)(path):
        done.add(prediction)
        end = offset
    return end


def _append(path: Path, file_format: FileFormat, end: int) -> Sink:
    try:
        os.truncate(path, end)
        with path.open("rb") as stream:
            stream.seek(max(end - 1, 0))
            complete = stream.read(1) in (b"\n", b"")
    except OSError as error:
        raise OutputError(f"Cannot continue {shorten(path)}: {error.strerror}.") from error
    lines = open_lines(path, append=True)
    if not complete:  # the last line is whole but for its end
        write_whole(lines, b"\n")
    return _begin(lines, file_format, header=end == 0)


def _begin(stream: BinaryIO, file_format: FileFormat, *, header: bool) -> Sink:
    if file_format == "jsonl":
        return JsonlSink(stream)
    with ExitStack() as undo:
        undo.callback(stream.close)
        sink = CsvSink(stream, header=header)
        undo.pop_all()
    return sink


def _drop_failed(path: Path, file_format: FileFormat) -> None:
    part = path.with_name(path.name + ".part")
    with ExitStack() as undo:
        undo.callback(part.unlink, missing_ok=True)
        with closing(open_sink(part, file_format)) as sink:
            for _, prediction in (scan_csv if file_format == "csv" else scan_jsonl)(path):
                if prediction.error is None:
                    sink.write(prediction)
        part.replace(path)
        undo.pop_all()


def _copy_parquet(path: Path, done: DoneSources, *, retry_failed: bool) -> Sink:
    """Parquet cannot be appended to: the rows so far begin the new file."""
    from pictag.sinks.parquet import ParquetSink, read_parquet

    sink = ParquetSink(path)
    with ExitStack() as undo:
        undo.callback(sink.discard)
        for prediction in read_parquet(path):
            if prediction.error is None or not retry_failed:
                done.add(prediction)
                sink.write(prediction)
        undo.pop_all()
    return sink


def _starts_with_header(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(HEADER)) == HEADER


def _hash(source: str) -> int:
    digest = hashlib.blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
