"""What an application finds out about each image, as a line of JSON or as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Protocol, TypeVar

from pictag.sinks.jsonl import encode_entry
from pictag.sinks.lines import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text

    from pictag.sinks.table import TableSink

Row_contra = TypeVar("Row_contra", contravariant=True)


class Rows(Protocol[Row_contra]):
    """Writes results where a person or a program reads them."""

    def write(self, row: Row_contra, /) -> None:
        """Write one image; raises `pictag.errors.OutputError`, or ``BrokenPipeError``."""

    def close(self) -> None:
        """Finish the output; a second call does nothing."""


class JsonRows(Generic[Row_contra]):
    """JSON Lines into a binary stream; each line is in the stream when ``write`` returns.

    ``describe`` gives the values of a row as JSON's own types.
    """

    def __init__(self, stream: BinaryIO, describe: Callable[[Row_contra], dict[str, Any]]) -> None:
        self._stream = stream
        self._describe = describe

    def write(self, row: Row_contra) -> None:
        """Write one line."""
        write_whole(self._stream, encode_entry(self._describe(row)).encode() + b"\n")

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class TableRows(Generic[Row_contra]):
    """A table for people; ``draw`` gives the lines of a row for a width in character cells."""

    def __init__(self, table: TableSink, draw: Callable[[Row_contra, int], list[Text]]) -> None:
        self._table = table
        self._draw = draw

    def write(self, row: Row_contra) -> None:
        """Write the lines of one image."""
        self._table.write_rows(self._draw(row, self._table.width))

    def close(self) -> None:
        """Close the table."""
        self._table.close()
