"""Result formats: JSON Lines, CSV, Parquet, and a table for the terminal.

A sink writes one `pictag.Prediction` after another. `pictag.sinks.resume` opens sinks that write to a file.

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
    """Writes predictions one by one."""

    def write(self, prediction: Prediction, /) -> None:
        """Write one prediction; raises `pictag.errors.OutputError`, or ``BrokenPipeError``."""

    def close(self) -> None:
        """Finish the output; a second call does nothing."""
