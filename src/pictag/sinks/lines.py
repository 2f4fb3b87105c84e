"""Reading and writing files of lines so that a full disk, a crash or an interruption leaves whole lines."""

from __future__ import annotations

import select
import stat
from contextlib import contextmanager, suppress
from os import PathLike, fstat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import OutputError, UnreadableResults, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

FileName = str | PathLike[str]


@contextmanager
def read_results(path: FileName) -> Iterator[BinaryIO]:
    """Open a result file for reading; raises `UnreadableResults` if it can't be read."""
    try:
        with Path(path).open("rb") as stream:
            yield stream
    except UnreadableResults:  # is an OSError too
        raise
    except OSError as error:
        raise UnreadableResults(
            f"Cannot read {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error


def open_lines(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a file for writing, unbuffered: a line is in the file when ``write`` returns.

    Raises `OutputError`.
    """
    try:
        return path.open("ab" if append else "wb", buffering=0)
    except OSError as error:
        raise OutputError(
            f"Cannot write {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error


def write_whole(stream: BinaryIO, block: bytes) -> None:
    """Write the whole block, or leave a regular file as it was.

    Raises `OutputError`. A ``BrokenPipeError`` is passed on: the reader has stopped reading, which is not
    an error.
    """
    rest = memoryview(block)
    try:
        while rest:
            written = stream.write(rest)
            if written is None:  # a full pipe that another process made non-blocking
                select.select([], [stream], [])
            else:
                rest = rest[written:]
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with suppress(OSError):  # reading the file skips a torn line as well
            _cut_back(stream, len(block) - len(rest))
        name = getattr(stream, "name", "the output")
        where = "standard output" if isinstance(name, int) else shorten(name)
        raise OutputError(
            f"Cannot write to {where}: {error.strerror}. Earlier results were written.",
            errno=error.errno,
            filename=None if isinstance(name, int) else name,
        ) from error


def _cut_back(stream: BinaryIO, count: int) -> None:
    """Remove the last ``count`` bytes of a regular file; other kinds of files can't be undone."""
    status = fstat(stream.fileno())
    if count and stat.S_ISREG(status.st_mode):
        stream.seek(stream.truncate(status.st_size - count))
