"""``pictag similar``: find the images of the library that are similar to a photograph."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pictag.cli.ending import Invocation, debug_option, is_terminal, say
from pictag.cli.found_files import listing_format, write_files
from pictag.cli.inputs import STDIN
from pictag.cli.library import LIBRARY, choose_library
from pictag.cli.options import QUIET

if TYPE_CHECKING:
    from pathlib import Path

    from pictag.cli.found_files import ListingFormat

EXAMPLES = """
Examples:

\b
  pictag similar holiday/beach.jpg
  pictag similar holiday/beach.jpg -k 50 --format paths
  pictag similar https://example.org/beach.jpg
  pictag similar - < beach.jpg

The score is the cosine similarity of the embeddings: 1 for the same image, about 0 for unrelated images. The
score of two similar photographs depends on the model.

Exit status: 0 success, 2 wrong usage, no library, or PHOTO can't be read.
"""


@click.command(epilog=EXAMPLES, short_help="Find images similar to a photograph.")
@click.argument("photo", metavar="PHOTO|URL|-")
@click.option(
    "-k",
    "limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=10,
    show_default=True,
    help="Maximum number of images.",
)
@listing_format
@LIBRARY
@QUIET
@debug_option
@click.pass_obj
def similar(
    invocation: Invocation,
    *,
    photo: str,
    limit: int,
    chosen: ListingFormat,
    library: Path | None,
    quiet: bool,
) -> int:
    """Find the images of the gallery's library that are most similar to PHOTO, best first.

    PHOTO doesn't have to be in the library. If it isn't, the library's model is run on it.
    """
    if photo == STDIN and (sys.stdin is None or is_terminal(sys.stdin)):
        raise click.UsageError("- reads standard input. Pipe an image into it.")
    from pictag.gallery import Gallery
    from pictag.gallery.similar import find_similar

    with Gallery.open(choose_library(library, invocation)) as gallery:
        found = find_similar(gallery.connection, sys.stdin.buffer if photo == STDIN else photo, k=limit)
        write_files(found, chosen)
    if not found and not quiet:
        say("The library has no other image.")
    return 0
