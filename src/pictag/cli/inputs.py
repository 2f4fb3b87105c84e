"""The images to classify: the command's arguments, standard input, and lists of names."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from pictag.errors import ImageUnreadable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pictag.images import Failed, Source
    from pictag.sinks.resume import DoneSources

STDIN = "-"
_BLOCK_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Names as given: arguments, and a file (``-`` is standard input) with more names."""

    arguments: tuple[str, ...]
    listed_in: str | None = None
    recursive: bool = False

    def __post_init__(self) -> None:
        if not self.arguments and self.listed_in is None:
            raise click.UsageError("Give an image, a folder, a URL, or - for standard input.")
        readers = self.arguments.count(STDIN) + (self.listed_in == STDIN)
        if readers > 1:
            raise click.UsageError("Standard input (-) can be read only once.")
        if readers and sys.stdin is None:
            raise click.UsageError("- reads standard input, which is closed.")
        if readers and sys.stdin.isatty():
            raise click.UsageError("- reads standard input, which is the terminal. Pipe an image into it.")

    @property
    def countable(self) -> bool:
        """Whether all names are available now, rather than arriving through a pipe."""
        return self.listed_in is None or not (self.listed_in == STDIN or Path(self.listed_in).is_fifo())

    def expand(self) -> Iterator[Source | Failed]:
        """All images, lazily; those of folders and globs in sorted order."""
        from pictag.images import expand

        yield from expand(self._values(), recursive=self.recursive)

    def _values(self) -> Iterator[str | BinaryIO]:
        for argument in self.arguments:
            yield sys.stdin.buffer if argument == STDIN else argument
        if self.listed_in == STDIN:
            yield from read_names(sys.stdin.buffer, "standard input")
        elif self.listed_in is not None:
            try:
                with open(self.listed_in, "rb") as stream:  # noqa: PTH123 - the name may not be valid text
                    yield from read_names(stream, self.listed_in)
            except OSError as error:
                raise click.UsageError(f"Cannot read {shorten(self.listed_in)}: {error.strerror}.") from error


def read_names(stream: BinaryIO, shown: str) -> Iterator[str]:
    r"""The names in a list: one per line, or each ended by a NUL byte as ``find -print0`` does.

    The first line end or NUL decides which. Empty lines are skipped.

    >>> import io
    >>> list(read_names(io.BytesIO(b"a.jpg\ntwo words.jpg\n"), "list"))
    ['a.jpg', 'two words.jpg']
    >>> list(read_names(io.BytesIO(b"a.jpg\x00with\nnewline.jpg\x00"), "list"))
    ['a.jpg', 'with\nnewline.jpg']
    """
    end = rest = b""
    read = getattr(stream, "read1", stream.read)
    try:
        while block := read(_BLOCK_BYTES):
            rest += block
            end = end or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b"")
            if end:
                *names, rest = rest.split(end)
                yield from _decode(names, end)
    except OSError as error:
        raise ImageUnreadable(f"Cannot read {shorten(shown)}: {error.strerror}.") from error
    yield from _decode([rest], end)


def _decode(names: Iterable[bytes], end: bytes) -> Iterator[str]:
    stripped = (name.rstrip(b"\r") if end == b"\n" else name for name in names)
    return (os.fsdecode(name) for name in stripped if name)


@dataclass(slots=True)
class Skipped:
    """How many images an earlier run has finished, and how many of those failed."""

    count: int = 0
    failed: int = 0


def skip_done(
    sources: Iterator[Source | Failed], done: DoneSources, skipped: Skipped
) -> Iterator[Source | Failed]:
    """The images that a result file doesn't have yet; the others are counted in ``skipped``.

    Sources without a name of their own, such as standard input, are never skipped.
    """
    for source in sources:
        if getattr(source, "kind", "file") in ("file", "url") and source.name in done:
            skipped.count += 1
            skipped.failed += done.has_failed(source.name)
        else:
            yield source
