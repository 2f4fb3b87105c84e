"""The images to classify: the command's arguments, standard input, and lists of names."""

from __future__ import annotations

import codecs
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
# Byte order marks and the encodings to convert from; UTF-8 is only freed from its mark. Longer marks first.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: None,
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Names as given: arguments, and a file (``-`` is standard input) with more names.

    Commands for labelled data give ``sources`` instead, each of which is one image.
    """

    arguments: tuple[str, ...] = ()
    listed_in: str | None = None
    recursive: bool = False
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if not self.arguments and not self.sources and self.listed_in is None:
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

    def _values(self) -> Iterator[str | Source | BinaryIO]:
        yield from self.sources
        for argument in self.arguments:
            yield sys.stdin.buffer if argument == STDIN else argument
        if self.listed_in == STDIN:
            yield from read_names(sys.stdin.buffer, "standard input")
        elif self.listed_in is not None:
            try:
                stream = open(self.listed_in, "rb")  # noqa: PTH123, SIM115 - the name may not be valid text
            except OSError as error:
                raise click.UsageError(f"Cannot read {shorten(self.listed_in)}: {error.strerror}.") from error
            with stream:
                yield from read_names(stream, self.listed_in)


def read_names(stream: BinaryIO, shown: str) -> Iterator[str]:
    r"""The names in a list: one per line, or each ended by a NUL byte as ``find -print0`` does.

    The first line end or NUL decides which. Empty lines are skipped. A byte order mark tells UTF-16, which
    PowerShell's ``>`` writes. Raises `ImageUnreadable`.

    >>> import io
    >>> list(read_names(io.BytesIO(b"a.jpg\ntwo words.jpg\n"), "list"))
    ['a.jpg', 'two words.jpg']
    >>> list(read_names(io.BytesIO(b"a.jpg\x00with\nnewline.jpg\x00"), "list"))
    ['a.jpg', 'with\nnewline.jpg']
    >>> list(read_names(io.BytesIO("a.jpg\r\n".encode("utf-16")), "list"))
    ['a.jpg']
    """
    end = rest = b""
    for block in _read_utf8(stream, shown):
        rest += block
        end = end or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b"")
        if end:
            *names, rest = rest.split(end)
            if end == b"\0":
                _check_names(names, shown)
            yield from _decode(names, end)
    yield from _decode([rest], end)


def _read_utf8(stream: BinaryIO, shown: str) -> Iterator[bytes]:
    """The blocks of a list without a byte order mark; UTF-16 and UTF-32 become UTF-8."""
    read = getattr(stream, "read1", stream.read)
    try:
        head = block = read(_BLOCK_BYTES)
        # The mark may arrive in pieces. A list without one isn't waited for.
        while block and any(mark.startswith(head) and mark != head for mark in _MARKS):
            block = read(_BLOCK_BYTES)
            head += block
        mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
        encoding = _MARKS.get(mark)
        if encoding is None:
            yield head.removeprefix(mark)
            while block := read(_BLOCK_BYTES):
                yield block
            return
        decoder = codecs.getincrementaldecoder(encoding)()
        while head:
            yield decoder.decode(head).encode("utf-8", "surrogatepass")
            head = read(_BLOCK_BYTES)
        decoder.decode(b"", final=True)
    except OSError as error:
        raise ImageUnreadable(
            f"Cannot read {shorten(shown)}: {error.strerror}.", errno=error.errno, filename=shown
        ) from error
    except UnicodeError as error:
        raise ImageUnreadable(
            f"{shorten(shown)} starts like {str(encoding).upper()}, but isn't. Save the list as UTF-8."
        ) from error


def _check_names(names: list[bytes], shown: str) -> None:
    """Raise `ImageUnreadable` for UTF-16 without a byte order mark: it looks like names of one character."""
    if b"\n" in names or (len(names) > 1 and all(len(name) <= 1 for name in names)):
        raise ImageUnreadable(
            f"{shorten(shown)} has single characters as names, each ended by a NUL byte. It seems to be "
            "UTF-16 without a byte order mark: save the list as UTF-8."
        )


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
