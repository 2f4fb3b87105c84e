"""``pictag search``: find the images of the library that a query selects."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

import click

from pictag.cli.ending import NOTHING_DONE, Invocation, debug_option, is_terminal, say
from pictag.cli.library import LIBRARY, choose_library
from pictag.cli.options import QUIET
from pictag.errors import OutputError, QueryError, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pictag.gallery.search import FoundFile

Format = Literal["table", "paths", "jsonl"]
_TABLE_ROWS = 50
_TABLE_LABELS = 4
_SHOWN_BEFORE, _SHOWN_BEHIND = 40, 20  # characters of a query around an error

EXAMPLES = """
Examples:

\b
  pictag search dog
  pictag search 'dog -cat score>0.5'         the shell needs quotes for > ( ) and "
  pictag search -label:dog in:holiday/ after:2024 before:2024-07
  pictag search '(beach OR "golden retriever")' type:jpeg,heic
  pictag search label:dog is:unreviewed score:90%
  pictag search dog -0 | xargs -0 cp -t /tmp/dogs

An argument that begins with - and isn't an option belongs to the query: -cat excludes cats.

The query language: docs/search.md.

Exit status: 0 success, also if nothing matches, 2 wrong usage or no library.
"""


class QueryCommand(click.Command):
    """A command whose arguments may begin with ``-`` without being options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sort the arguments: those in the form of a declared option, then ``--`` and the query."""
        options, query = _split(args, self)
        return super().parse_args(ctx, [*options, "--", *query])


def _split(args: list[str], command: click.Command) -> tuple[list[str], list[str]]:
    names = {
        name: option.is_flag
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
    } | {"--help": True, "-h": True}
    options: list[str] = []
    query: list[str] = []
    rest = iter(args)
    for argument in rest:
        if argument == "--":
            query += rest
        elif argument.startswith("--") or (argument[:2] == "-k" and argument[2:].isdigit()):
            options.append(argument)
            if names.get(argument) is False:
                options += [value for value in (next(rest, None),) if value is not None]
        elif argument in names:
            options.append(argument)
            if not names[argument]:
                options += [value for value in (next(rest, None),) if value is not None]
        else:
            query.append(argument)
    return options, query


@click.command(cls=QueryCommand, epilog=EXAMPLES, short_help="Search indexed photographs.")
@click.argument("query", nargs=-1, required=True)
@click.option(
    "-k",
    "limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Maximum number of images. [default: {_TABLE_ROWS} in a table, otherwise all]",
)
@click.option(
    "--format",
    "asked",
    type=click.Choice(["table", "paths", "jsonl"]),
    help="table for people, jsonl for programs, paths for other commands. [default: table on a terminal, "
    "jsonl in a pipe]",
)
@click.option("-0", "--null", "is_null", is_flag=True, help="Paths that end with a null byte, for xargs -0.")
@LIBRARY
@QUIET
@debug_option
@click.pass_obj
def search(
    invocation: Invocation,
    *,
    query: tuple[str, ...],
    limit: int | None,
    asked: Format | None,
    is_null: bool,
    library: Path | None,
    quiet: bool,
) -> int:
    """Search the library of the gallery by what images show, by keywords, names, dates, folders and types.

    Images with a matching word that a person wrote or confirmed come first, the others follow by score.
    Create the library with 'pictag index FOLDER'.
    """
    if is_null and asked not in (None, "paths"):
        raise click.UsageError("-0 works only with --format paths.")
    chosen = choose_format(asked, is_null=is_null)
    from pictag.gallery import Gallery
    from pictag.gallery.search import search as search_library

    if limit is None and chosen == "table":
        limit = _TABLE_ROWS
    with Gallery.open(choose_library(library, invocation)) as gallery:
        try:
            result = search_library(gallery.connection, " ".join(query), limit=limit)
        except QueryError as error:
            if invocation.debug:
                raise
            say(str(error))
            for line in point_at(error):
                click.echo(line, err=True)
            return NOTHING_DONE
        shown = write_files(result.files, chosen, is_null=is_null)
    if not quiet:
        report(shown, result.total)
    return 0


def choose_format(asked: Format | None, *, is_null: bool) -> Format:
    """The format that was asked for, or the one that suits standard output. Raises `OutputError`."""
    if sys.stdout is None:
        raise OutputError("Standard output is closed.")
    if is_null:
        return "paths"
    return asked or ("table" if is_terminal(sys.stdout) else "jsonl")


def report(shown: int, total: int) -> None:
    """Say on stderr that nothing was found, or that there is more."""
    if not total:
        say("No image matches.")
    elif shown < total:
        say(f"{shown:,} of {total:,} images. Use -k {total} for all.")


def write_files(files: Iterable[FoundFile], chosen: Format, *, is_null: bool) -> int:
    """Write the files to standard output, and return how many there were."""
    if chosen == "table":
        found = list(files)
        if found:
            click.echo(draw_files(found), nl=False)
        return len(found)
    from pictag.cli.destination import open_stdout
    from pictag.sinks.lines import write_whole

    end = b"\0" if is_null else b"\n"
    count = 0
    with open_stdout() as stream:
        for count, file in enumerate(files, start=1):  # noqa: B007 - used after the loop
            line = file.path if chosen == "paths" else encode_row(file).encode()
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


def point_at(error: QueryError) -> tuple[str, str]:
    """The query, and a line that points at the place of the error.

    >>> for line in point_at(QueryError("", query="dog lable:cat", start=4, end=10)):
    ...     print(line)
      dog lable:cat
          ^^^^^^
    """
    from rich.cells import cell_len

    first = max(0, error.start - _SHOWN_BEFORE)
    last = error.end + _SHOWN_BEHIND
    before = ("…" if first else "") + escape(error.query[first : error.start])
    marked = escape(error.query[error.start : error.end])
    behind = escape(error.query[error.end : last]) + ("…" if last < len(error.query) else "")
    pointer = " " * cell_len(before) + "^" * max(cell_len(marked), 1)
    return f"  {before}{marked}{behind}", f"  {pointer}"
