"""``pictag search``: find the images of the library that a query selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pictag.cli.ending import NOTHING_DONE, Invocation, debug_option, say
from pictag.cli.found_files import listing_format, write_files
from pictag.cli.library import LIBRARY, choose_library
from pictag.cli.options import QUIET
from pictag.errors import QueryError, escape

if TYPE_CHECKING:
    from pathlib import Path

    from pictag.cli.found_files import ListingFormat

_TABLE_ROWS = 50
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
        elif argument.startswith("--") or argument in names or _is_limit(argument):
            options.append(argument)
            if names.get(argument) is False:
                value = next(rest, None)
                if value is None:
                    raise click.UsageError(f"{argument} needs a value.")
                options.append(value)
        else:
            query.append(argument)
    return options, query


def _is_limit(argument: str) -> bool:
    """Whether it is -k with its number, such as -k5."""
    return argument.startswith("-k") and argument[2:].isdigit()


@click.command(cls=QueryCommand, epilog=EXAMPLES, short_help="Search indexed photographs.")
@click.argument("query", nargs=-1, required=True)
@click.option(
    "-k",
    "limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Maximum number of images. [default: {_TABLE_ROWS} in a table, otherwise all]",
)
@listing_format
@LIBRARY
@QUIET
@debug_option
@click.pass_obj
def search(
    invocation: Invocation,
    *,
    query: tuple[str, ...],
    limit: int | None,
    chosen: ListingFormat,
    library: Path | None,
    quiet: bool,
) -> int:
    """Search the library of the gallery by what images show, by keywords, names, dates, folders and types.

    Images with a matching word that a person wrote or confirmed come first, the others follow by score.
    Create the library with 'pictag index FOLDER'.
    """
    from pictag.gallery import Gallery

    if limit is None and chosen == "table":
        limit = _TABLE_ROWS
    with Gallery.open(choose_library(library, invocation)) as gallery:
        try:
            result = gallery.search(" ".join(query), limit=limit)
        except QueryError as error:
            if invocation.debug:
                raise
            say(str(error))
            for line in point_at(error):
                click.echo(line, err=True)
            return NOTHING_DONE
        shown = write_files(result.files, chosen)
    if not quiet:
        report(shown, result.total)
    return 0


def report(shown: int, total: int) -> None:
    """Say on stderr that nothing was found, or that there is more."""
    if not total:
        say("No image matches.")
    elif shown < total:
        say(f"{shown:,} of {total:,} images. Use -k {total} for all.")


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
