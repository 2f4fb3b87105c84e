r"""CSV: one row per label, UTF-8, with a header row. Quoting follows RFC 4180; lines end with ``\n``.

| column | value |
|---|---|
| ``source`` | the path or URL as it was given |
| ``rank`` | 1 for the best label of the image, 2, 3, … |
| ``label``, ``score``, ``index`` | as in `pictag.Label`; the score with all digits |
| ``error_kind``, ``error_message`` | only in the single row of an image that failed |
| ``embedding`` | only if embeddings were asked for: a JSON list of numbers, in the first row of each image |

An image without labels and without an error (no label reached ``--min-score``) has one row with only
``source``. Control characters, and bytes of a file name that aren't UTF-8, are written as described in
`pictag.sinks.escapes`, so that a row is one line and can't control a terminal. All other text is unchanged.
A spreadsheet may treat a label or a name that starts with ``=`` as a formula: import such columns as text.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import UnreadableResults, shorten
from pictag.records import Failure, Label, Prediction
from pictag.sinks.embeddings import decode_embedding, encode_embedding
from pictag.sinks.escapes import SHOWN_TEXT
from pictag.sinks.lines import FileName, read_results, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

COLUMNS: tuple[str, ...] = ("source", "rank", "label", "score", "index", "error_kind", "error_message")
EMBEDDING = "embedding"
HEADER = (",".join(COLUMNS) + "\n").encode()


def encode_csv(prediction: Prediction, *, embeddings: bool = False) -> str:
    """The rows of one image, each with its line end; with the column for ``embeddings`` if asked for.

    >>> encode_csv(Prediction(source="a, b.jpg", labels=(Label(label="cat", score=0.25, index=7),)))
    '"a, b.jpg",1,cat,0.25,7,,\\n'
    """
    source, error = SHOWN_TEXT.escape(prediction.source), prediction.error
    failure = ("", "") if error is None else (error.kind, SHOWN_TEXT.escape(error.message))
    rows: list[tuple[object, ...]] = [
        (source, rank, SHOWN_TEXT.escape(e.label), e.score, e.index, *failure)
        for rank, e in enumerate(prediction.labels, start=1)
    ]
    rows = rows or [(source, "", "", "", "", *failure)]
    if embeddings:
        text = "" if prediction.embedding is None else encode_embedding(prediction.embedding)
        rows = [(*rows[0], text), *((*row, "") for row in rows[1:])]
    return "".join(map(_encode_row, rows))


def read_csv(path: FileName) -> Iterator[Prediction]:
    """The predictions of a file, one by one.

    If a crash has cut off the last row, the image before it is left out too, since the row may have been
    one of its own. Raises `UnreadableResults` naming the line that is wrong.
    """
    for _, prediction in scan_csv(path):
        yield prediction


def scan_csv(path: FileName) -> Iterator[tuple[int, Prediction]]:
    """Like `read_csv`, each with the number of bytes up to the end of its rows."""
    rows: list[Prediction] = []  # of one image, each with one label at most
    end = 0
    with read_results(path) as stream:
        lines = _WholeLines(stream)
        reader = csv.reader(lines, strict=True)
        columns = COLUMNS
        try:
            for row in reader:
                if reader.line_num == 1 and tuple(row) in (COLUMNS, (*COLUMNS, EMBEDDING)):
                    columns = tuple(row)
                    continue
                rank, prediction = _decode_row(row, columns)
                if rows and not (rank == len(rows) + 1 and prediction.source == rows[0].source):
                    yield end, _join(rows)
                    rows = []
                rows.append(prediction)
                end = lines.end
        except (csv.Error, ValueError) as error:
            if not lines.ended:
                raise UnreadableResults(
                    f"Line {reader.line_num} of {shorten(path)} is not a row of predictions: "
                    f"{shorten(error)}."
                ) from error
            return  # the file ends within a quoted field
    if lines.torn and reader.line_num == 0 and not _make_header(embeddings=True).startswith(lines.torn):
        raise UnreadableResults(f"{shorten(path)} is not a CSV file of predictions.")
    if rows and not lines.torn:
        yield end, _join(rows)


def has_embeddings(path: Path) -> bool | None:
    """Whether the file has the column for embeddings; ``None`` if it has no rows yet."""
    with read_results(path) as stream:
        first = stream.readline()
    return first == _make_header(embeddings=True) if first.endswith(b"\n") else None


class CsvSink:
    """Writes CSV to a binary stream; the rows of an image are in the stream when ``write`` returns.

    ``header`` is False if the stream already has one. With ``embeddings`` there is a column for them.
    """

    def __init__(self, stream: BinaryIO, *, header: bool = True, embeddings: bool = False) -> None:
        self._stream = stream
        self._embeddings = embeddings
        if header:
            write_whole(stream, _make_header(embeddings=embeddings))

    def write(self, prediction: Prediction) -> None:
        """Write the rows of one image."""
        write_whole(self._stream, encode_csv(prediction, embeddings=self._embeddings).encode())

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class _WholeLines:
    """The lines of a file and the number of bytes read; stops before a ``torn`` last line."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.end = 0
        self.torn = b""
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            if not line.endswith(b"\n"):
                self.torn = line
                break
            self.end += len(line)
            yield line.decode()
        self.ended = True


def _encode_row(row: tuple[object, ...]) -> str:
    # Before Python 3.13 the writer quotes a carriage return only if it is part of its line end.
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue()[:-2] + "\n"


def _make_header(*, embeddings: bool) -> bytes:
    return HEADER[:-1] + f",{EMBEDDING}\n".encode() if embeddings else HEADER


def _decode_row(row: list[str], columns: tuple[str, ...]) -> tuple[int, Prediction]:
    """The rank, 0 if there is none, and what the row says; raises ``ValueError`` for any other row."""
    if len(row) != len(columns):
        raise ValueError(f"it doesn't have the columns {', '.join(columns)}")
    source, rank, label, score, index, kind, message, *text = row
    embedding = _decode_embedding(text[0]) if text and text[0] else None
    prediction = Prediction(source=SHOWN_TEXT.restore(source), embedding=embedding)
    if kind:
        return 0, replace(prediction, error=Failure(kind=kind, message=SHOWN_TEXT.restore(message)))
    if not rank:
        return 0, prediction
    found = Label(label=SHOWN_TEXT.restore(label), score=float(score), index=int(index))
    return int(rank), replace(prediction, labels=(found,))


def _decode_embedding(text: str) -> NDArray[np.float32]:
    try:
        return decode_embedding(json.loads(text))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"its embedding can't be read: {error}") from error


def _join(rows: list[Prediction]) -> Prediction:
    return replace(rows[0], labels=tuple(label for row in rows for label in row.labels))
