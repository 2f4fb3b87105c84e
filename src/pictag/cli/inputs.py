"""What to classify: the command's arguments, standard input, and lists of names."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import click

from pictag.errors import ImageUnreadable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.engines.choose import Mode
    from pictag.images import Failed, Source
    from pictag.sinks.resume import DoneSources

STDIN = "-"
_BLOCK_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Names as a person gave them: arguments, and a file (``-`` is standard input) that lists more."""

    arguments: tuple[str, ...]
    listed_in: str | None = None
    recursive: bool = False

    def check(self) -> None:
        """Refuse what can only be a slip; raises a usage error."""
        if not self.arguments and self.listed_in is None:
            raise click.UsageError(
                "Say what to classify: an image, a folder, a URL, or - for standard input."
            )
        readers = self.arguments.count(STDIN) + (self.listed_in == STDIN)
        if readers > 1:
            raise click.UsageError("Standard input (-) can be read once only.")
        if readers and sys.stdin is None:
            raise click.UsageError("- reads standard input, and that is closed.")
        if readers and sys.stdin.isatty():
            raise click.UsageError(
                "- reads standard input, and that is the terminal: pipe something into it."
            )

    @property
    def countable(self) -> bool:
        """Whether the images can be listed twice: once to count them."""
        return self.listed_in != STDIN

    def find_mode(self) -> Mode:
        """Whether there are many images, for the choice of the engine; counts no further than needed."""
        from pictag.engines.choose import THROUGHPUT_MIN_IMAGES

        count = (
            sum(1 for _ in islice(self.expand(), THROUGHPUT_MIN_IMAGES))
            if self.countable
            else THROUGHPUT_MIN_IMAGES
        )
        return "throughput" if count >= THROUGHPUT_MIN_IMAGES else "latency"

    def expand(self) -> Iterator[Source | Failed]:
        """Every image, lazily: folders and globs give theirs in sorted order."""
        from pictag.images import expand

        yield from expand(self._values(), recursive=self.recursive)

    def _values(self) -> Iterator[str | BinaryIO]:
        for argument in self.arguments:
            yield sys.stdin.buffer if argument == STDIN else argument
        if self.listed_in == STDIN:
            yield from read_names(sys.stdin.buffer, "standard input")
        elif self.listed_in is not None:
            try:
                with open(self.listed_in, "rb") as stream:  # noqa: PTH123 - the name may be no valid text
                    yield from read_names(stream, self.listed_in)
            except OSError as error:
                raise click.UsageError(f"Cannot read {shorten(self.listed_in)}: {error.strerror}.") from error


def read_names(stream: BinaryIO, shown: str) -> Iterator[str]:
    r"""The names in a list: one a line, or each ended by a NUL byte as ``find -print0`` does.

    Which of both it is shows in the first bytes that arrive; empty lines are passed over.

    >>> import io
    >>> list(read_names(io.BytesIO(b"a.jpg\ntwo words.jpg\n"), "list"))
    ['a.jpg', 'two words.jpg']
    >>> list(read_names(io.BytesIO(b"a.jpg\x00with\nnewline.jpg\x00"), "list"))
    ['a.jpg', 'with\nnewline.jpg']
    """
    end = b""
    rest = b""
    read = getattr(stream, "read1", stream.read)
    try:
        while block := read(_BLOCK_BYTES):
            rest += block
            end = end or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b"")
            if end:
                *names, rest = rest.split(end)
                yield from (os.fsdecode(_strip(name, end)) for name in names if _strip(name, end))
    except OSError as error:
        raise ImageUnreadable(f"Cannot read {shorten(shown)}: {error.strerror}.") from error
    if _strip(rest, end):
        yield os.fsdecode(_strip(rest, end))


@dataclass(slots=True)
class Skipped:
    """How many images were done before, and how many of those have failed."""

    count: int = 0
    failed: int = 0


def skip_done(
    sources: Iterator[Source | Failed], done: DoneSources, skipped: Skipped
) -> Iterator[Source | Failed]:
    """The images that a file of results does not have yet; the others are counted in ``skipped``.

    What has no name of its own, such as standard input, is never skipped.
    """
    for source in sources:
        if getattr(source, "kind", "file") in ("file", "url") and source.name in done:
            skipped.count += 1
            skipped.failed += done.has_failed(source.name)
        else:
            yield source


def _strip(name: bytes, end: bytes) -> bytes:
    return name.rstrip(b"\r") if end == b"\n" else name
