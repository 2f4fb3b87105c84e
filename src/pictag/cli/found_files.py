"""How ``pictag search``, ``similar`` and ``duplicates`` list files: as a table, JSON Lines, or paths."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from pictag.cli.ending import is_terminal
from pictag.cli.options import collect
from pictag.errors import OutputError, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pictag.gallery.search import FoundFile

ListingFormat = Literal["table", "paths", "jsonl", "null"]
_TABLE_LABELS = 4


def _choose_format(given: dict[str, Any]) -> ListingFormat:
    asked: ListingFormat | None = given["asked"]
    if sys.stdout is None:
        raise OutputError("Standard output is closed.")
    if given["is_null"]:
        if asked not in (None, "paths"):
            raise click.UsageError("-0 works only with --format paths.")
        return "null"
    return asked or ("table" if is_terminal(sys.stdout) else "jsonl")


# The format that was asked for, or the one that suits standard output; "null" is paths with -0.
listing_format = collect(
    (
        click.option(
            "--format",
            "asked",
            type=click.Choice(["table", "paths", "jsonl"]),
            help="table for people, jsonl for programs, paths for other commands. [default: table on a "
            "terminal, jsonl in a pipe]",
        ),
        click.option(
            "-0", "--null", "is_null", is_flag=True, help="Paths that end with a null byte, for xargs -0."
        ),
    ),
    "chosen",
    _choose_format,
)


def write_files(files: Iterable[FoundFile], chosen: ListingFormat) -> int:
    """Write the files to standard output, and return how many there were."""
    if chosen == "table":
        found = list(files)
        if found:
            click.echo(draw_files(found), nl=False)
        return len(found)
    from pictag.cli.destination import open_stdout
    from pictag.sinks.lines import write_whole

    end = b"\0" if chosen == "null" else b"\n"
    count = 0
    with open_stdout() as stream:
        for count, file in enumerate(files, start=1):  # noqa: B007 - used after the loop
            line = encode_row(file).encode() if chosen == "jsonl" else file.path
            write_whole(stream, line + end)
    return count


def encode_row(file: FoundFile) -> str:
    """One file as a line of JSON, without the line's end."""
    from pictag.sinks.jsonl import encode_entry

    row = {
        "path": file.name,
        "score": file.score,
        "labels": [
            {"label": label.word, "score": label.score, "kind": label.kind}
            | ({} if label.verdict is None else {"verdict": label.verdict})
            for label in file.labels
        ],
    }
    return encode_entry(row)


def draw_files(files: Iterable[FoundFile]) -> str:
    """A table of files with their scores and best labels; these are below the paths if there's no room."""
    from rich.cells import cell_len

    from pictag.cli.tables import draw, make_console, make_table

    head = "score", "image", "labels"
    rows, console = list(_list_cells(files)), make_console()
    columns = zip(head, *rows, strict=True)
    if sum(max(cell_len(escape(cell)) + 2 for cell in column) for column in columns) <= console.width:
        return draw(console, make_table(rows, head=head))
    return "".join(f"{score:4}  {escape(path)}\n      {escape(labels)}\n" for score, path, labels in rows)


def _list_cells(files: Iterable[FoundFile]) -> Iterator[tuple[str, str, str]]:
    from pictag.vocabulary import count_classes

    below = count_classes()  # the most specific words first: "dog" before "animal"
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - a prefix of text
    for file in files:
        labels = ", ".join(
            label.word if label.verdict else f"{label.word} {label.score:.0%}"
            for label in sorted(file.labels, key=lambda label: (not label.verdict, below.get(label.word, 1)))[
                :_TABLE_LABELS
            ]
        )
        yield "" if file.score is None else f"{file.score:.0%}", file.name.removeprefix(here), labels
