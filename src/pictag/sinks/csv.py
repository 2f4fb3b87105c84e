r"""CSV: one row a label, UTF-8, with a header line; RFC 4180 quoting, lines end with ``\n``.

| column | value |
|---|---|
| ``source`` | the path or URL as it was given |
| ``rank`` | 1 for the best label of the image, 2, 3, … |
| ``label``, ``score``, ``index`` | as in `pictag.Label`; the score with all digits |
| ``error_kind``, ``error_message`` | for an image that failed: its one row has these and no label |

An image without labels and without an error (nothing reached ``--min-score``) has one row with ``source``
alone. Bytes of a file name that are not UTF-8 appear as `pictag.sinks.names` says. Text is written as it
is: a spreadsheet may take a label or a name that starts with ``=`` for a formula, so import such columns as
text.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import UnreadableResults, shorten
from pictag.records import Failure, Label, Prediction
from pictag.sinks.lines import write_whole
from pictag.sinks.names import escape_name, restore_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COLUMNS = ("source", "rank", "label", "score", "index", "error_kind", "error_message")
HEADER = (",".join(COLUMNS) + "\n").encode()

_NEEDS_QUOTES = re.compile(r'[",\r\n]|^\s|\s$|^\ufeff')
_MAX_TORN_BYTES = 2**20


def encode_csv(prediction: Prediction) -> str:
    """The rows of one image, each with the line's end.

    >>> encode_csv(Prediction(source="a, b.jpg", labels=(Label(label="cat", score=0.25, index=7),)))
    '"a, b.jpg",1,cat,0.25,7,,\\n'
    """
    if prediction.error is not None:
        return _row(prediction.source, "", "", "", "", prediction.error.kind, prediction.error.message)
    if not prediction.labels:
        return _row(prediction.source, "", "", "", "", "", "")
    return "".join(
        _row(prediction.source, str(rank), e.label, repr(e.score), str(e.index), "", "")
        for rank, e in enumerate(prediction.labels, start=1)
    )


def read_csv(path: Path) -> Iterator[Prediction]:
    """The predictions of a file, one by one.

    When a crash has cut the last row off, the image before it is left out too: the row may be one of its
    own. Raises `UnreadableResults` naming the line that is no row of a prediction.
    """
    for _, prediction in scan_csv(path):
        yield prediction


def scan_csv(path: Path) -> Iterator[tuple[int, Prediction]]:
    """As `read_csv`, each with the number of bytes up to the end of its rows."""
    rows: list[list[str]] = []
    end = 0
    for number, offset, row in _scan_rows(path):
        if row is None:  # cut off: it may have been one more of the image before it, so that goes too
            return
        if number == 1 and row == list(COLUMNS):
            continue
        if rows and not (row[1].isdigit() and int(row[1]) == len(rows) + 1 and row[0] == rows[0][0]):
            yield end, _gather(rows, path, number - 1)
            rows = []
        rows.append(row)
        end = offset
    if rows:
        yield end, _gather(rows, path, -1)


class CsvSink:
    """Writes CSV to a binary stream; the rows of an image are in the stream when ``write`` returns.

    ``header`` is False where the stream has one already.
    """

    def __init__(self, stream: BinaryIO, *, header: bool = True) -> None:
        self._stream = stream
        if header:
            write_whole(stream, HEADER)

    def write(self, prediction: Prediction) -> None:
        """Write the rows of one image."""
        write_whole(self._stream, encode_csv(prediction).encode())

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def _row(*fields: str) -> str:
    return ",".join(map(_quote, map(escape_name, fields))) + "\n"


def _quote(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if _NEEDS_QUOTES.search(field) else field


def _scan_rows(path: Path) -> Iterator[tuple[int, int, list[str] | None]]:
    """Each row with its number and the offset of its end; None in place of a last row that was cut off."""
    number, offset, record, quotes = 0, 0, b"", 0
    try:
        with path.open("rb") as stream:
            for line in stream:
                offset += len(line)
                record += line
                quotes += line.count(b'"')
                if quotes % 2 or not line.endswith(b"\n"):
                    continue  # a quoted field goes on in the next line
                number += 1
                yield number, offset, _split(record, path, number)
                record, quotes = b"", 0
    except UnreadableResults:  # is an OSError too
        raise
    except OSError as error:
        raise UnreadableResults(f"Cannot read {shorten(path)}: {error.strerror}.") from error
    if len(record) > _MAX_TORN_BYTES:  # more than a crash can tear: a quote is missing somewhere
        raise UnreadableResults(f"Row {number + 1} of {shorten(path)} has a quote that is never closed.")
    if record and number == 0 and not HEADER.startswith(record):
        raise UnreadableResults(f"{shorten(path)} is not a CSV file of predictions.")
    if record:
        yield number + 1, offset, None


def _split(record: bytes, path: Path, number: int) -> list[str]:
    try:
        rows = list(csv.reader([record.decode()], strict=True))
        if len(rows) == 1 and len(rows[0]) == len(COLUMNS):
            return rows[0]
        problem = f"it has not the columns {', '.join(COLUMNS)}"
    except (UnicodeDecodeError, csv.Error) as error:
        problem = str(error)
    raise UnreadableResults(
        f"Row {number} of {shorten(path)} is not a row of predictions: {shorten(problem)}."
    )


def _gather(rows: Sequence[list[str]], path: Path, number: int) -> Prediction:
    """One prediction from its rows; ``number`` is that of the last row, for a message."""
    source, rank, _, _, _, kind, message = rows[0]
    try:
        if kind:
            failure = Failure(kind=kind, message=restore_name(message))
            return Prediction(source=restore_name(source), error=failure)
        labels = tuple(
            Label(label=restore_name(row[2]), score=float(row[3]), index=int(row[4])) for row in rows if rank
        )
    except ValueError as error:
        place = f"Row {number}" if number > 0 else "The last row"
        raise UnreadableResults(
            f"{place} of {shorten(path)} is not a row of predictions: {error}."
        ) from error
    return Prediction(source=restore_name(source), labels=labels)
