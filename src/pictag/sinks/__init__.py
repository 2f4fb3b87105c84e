"""Where predictions go: JSON Lines, CSV, Parquet, or a table for a person's terminal.

A sink takes one `pictag.Prediction` after another and writes each at once; `pictag.sinks.resume` opens those
that write to a file.

>>> import io
>>> from pictag import Label, Prediction
>>> from pictag.sinks.jsonl import JsonlSink
>>> stream = io.BytesIO()
>>> JsonlSink(stream).write(Prediction(source="a.jpg", labels=(Label(label="cat", score=0.5, index=7),)))
>>> stream.getvalue()
b'{"source": "a.jpg", "labels": [{"label": "cat", "score": 0.5, "index": 7}]}\\n'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pictag.records import Prediction


class Sink(Protocol):
    """Takes predictions one by one."""

    def write(self, prediction: Prediction, /) -> None:
        """Write one prediction; raises `pictag.errors.OutputError`, and ``BrokenPipeError`` as it is."""

    def close(self) -> None:
        """Finish what was written; calling it again does nothing."""
