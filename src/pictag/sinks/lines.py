"""Whole lines or none: what a file holds after a full disk, a crash or an interruption."""

from __future__ import annotations

import select
import stat
from os import fstat
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import OutputError, shorten

if TYPE_CHECKING:
    from pathlib import Path


def open_lines(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a file for a sink of lines: unbuffered, so that a line is in the file when ``write`` returns.

    Raises `OutputError`.
    """
    try:
        return path.open("ab" if append else "wb", buffering=0)
    except OSError as error:
        raise OutputError(f"Cannot write {shorten(path)}: {error.strerror}.") from error


def write_whole(stream: BinaryIO, block: bytes) -> None:
    """Write all of the block, or leave a regular file as it was before.

    Raises `OutputError`; a ``BrokenPipeError`` passes as it is: whoever read has stopped, nothing is wrong.
    """
    rest = memoryview(block)
    try:
        while rest:
            written = stream.write(rest)
            if written is None:  # a pipe that was made non-blocking by whoever shares it, and is full
                select.select([], [stream], [])
            else:
                rest = rest[written:]
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _cut_back(stream, len(block) - len(rest))
        name = getattr(stream, "name", "the output")
        where = "standard output" if isinstance(name, int) else shorten(name)
        raise OutputError(
            f"Cannot write to {where}: {error.strerror}. What was finished before is in it."
        ) from error


def _cut_back(stream: BinaryIO, count: int) -> None:
    """Take the last ``count`` bytes off a regular file; nothing else can be undone."""
    try:
        status = fstat(stream.fileno())
        if count and stat.S_ISREG(status.st_mode):
            stream.truncate(status.st_size - count)
    except OSError:
        pass  # the reader of the file cuts off a torn line as well
