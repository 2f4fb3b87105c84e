"""``pictag browse``: the gallery as a page in the browser."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pictag.cli.ending import ALL_WELL, Invocation, debug_option, say
from pictag.cli.library import LIBRARY, choose_library
from pictag.errors import MissingExtra

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = """
Examples:

\b
  pictag index ~/Pictures
  pictag browse
  pictag browse --port 8001 --open

The page is for this machine only: it listens on 127.0.0.1, and its address has a token that changes with each
start. Photographs are never changed; keywords are written beside them, as XMP, when you say so on the page.

Exit status: 0 stopped by Ctrl-C, 2 wrong usage, no library, or the port is in use.
"""


@click.command(epilog=EXAMPLES, short_help="Browse the gallery in a web browser.")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    metavar="N",
    help="Port to listen on. [default: a free one]",
)
@click.option("--open", "is_opening", is_flag=True, help="Open the page in the default browser.")
@LIBRARY
@debug_option
@click.pass_obj
def browse(invocation: Invocation, *, port: int, is_opening: bool, library: Path | None) -> int:
    """Browse the gallery in a web browser: search, narrow down, review labels, write keywords, compare
    duplicates. Prints the address of the page and runs until Ctrl-C.
    """
    try:
        from pictag.browser.running import browse as run
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"The page needs {error.name}, which is not installed: pip install 'pictag[server]'"
        ) from error

    def announce(address: str) -> None:
        click.echo(address)
        sys.stdout.flush()
        say("Press Ctrl-C to stop.")
        if is_opening:
            import webbrowser

            webbrowser.open(address)

    run(choose_library(library, invocation), port=port, announce=announce)
    return ALL_WELL
