"""``pictag duplicates``: find files with the same pixels and images that are nearly the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pictag.cli.ending import Invocation, debug_option, say
from pictag.cli.found_files import listing_format
from pictag.cli.library import LIBRARY, choose_library
from pictag.cli.options import QUIET

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pictag.cli.found_files import ListingFormat
    from pictag.gallery.duplicates import DuplicateGroup

_LONG = 20_000  # comparing more images takes more than a few seconds
EXAMPLES = """
Examples:

\b
  pictag duplicates
  pictag duplicates ~/Pictures/2024 --format jsonl
  pictag duplicates --dismiss a.jpg b.jpg      these aren't duplicates: don't show them again
  pictag duplicates -0 | xargs -0 mv -t /tmp/duplicates

The first file of a group is the one to keep. Nothing is deleted. With --format paths or -0, the others are
listed. Look at near duplicates before you delete any: their pixels differ, and some are different
photographs.

Exit status: 0 success, also if there are none, 2 wrong usage or no library.
"""


@click.command(epilog=EXAMPLES, short_help="Find duplicates among indexed photographs.")
@click.argument("names", nargs=-1, metavar="[FOLDER]...")
@listing_format
@click.option(
    "--dismiss",
    "is_dismissed",
    is_flag=True,
    help="Record that the named files aren't duplicates of each other. Their group isn't shown again.",
)
@LIBRARY
@QUIET
@debug_option
@click.pass_obj
def duplicates(
    invocation: Invocation,
    *,
    names: tuple[str, ...],
    chosen: ListingFormat,
    is_dismissed: bool,
    library: Path | None,
    quiet: bool,
) -> int:
    """Find duplicates in the gallery's library, or among its files in FOLDERs: files with the same pixels,
    and images that are nearly the same, such as smaller, cropped, compressed, brighter or mirrored copies.
    """
    from pictag.gallery import Gallery

    with Gallery.open(choose_library(library, invocation)) as gallery:
        if is_dismissed:
            count = gallery.dismiss(names)
            if not quiet:
                say(f"Dismissed: {len(names)} files ({count:,} pair{'' if count == 1 else 's'} of images).")
            return 0
        if not quiet and (images := gallery.status()["images"]) > _LONG:
            say(f"Comparing {images:,} images. 100,000 images take about a minute.")
        groups = gallery.duplicates(names)
    write_groups(groups, chosen)
    if not quiet:
        say(count_groups(groups))
    return 0


def count_groups(groups: list[DuplicateGroup]) -> str:
    """How many groups and files were found, in a sentence."""
    parts = []
    for kind, what in (("same", "with the same pixels"), ("near", "nearly the same")):
        found = [group for group in groups if group.kind == kind]
        files = sum(len(group.files) for group in found)
        if found:
            parts.append(f"{len(found):,} group{'' if len(found) == 1 else 's'} of {files:,} files {what}")
    return f"{', '.join(parts)}." if parts else "No duplicates."


def write_groups(groups: list[DuplicateGroup], chosen: ListingFormat) -> None:
    """Write the groups to standard output."""
    from pictag.cli.destination import open_stdout
    from pictag.sinks.lines import write_whole

    if chosen == "table":
        if groups:
            click.echo(draw_groups(groups), nl=False)
        return
    end = b"\0" if chosen == "null" else b"\n"
    with open_stdout() as stream:
        for group in groups:
            lines = (encode_group(group).encode(),) if chosen == "jsonl" else group.files[1:]
            for line in lines:
                write_whole(stream, line + end)


def encode_group(group: DuplicateGroup) -> str:
    """One group as a line of JSON, without the line's end.

    >>> from pictag.gallery.duplicates import DuplicateGroup
    >>> encode_group(DuplicateGroup(kind="same", reason="…", keep=b"a.jpg", files=(b"a.jpg", b"b.jpg")))
    '{"kind": "same", "reason": "…", "keep": "a.jpg", "files": ["a.jpg", "b.jpg"]}'
    """
    from pictag.sinks.jsonl import encode_entry

    row = {
        "kind": group.kind,
        "reason": group.reason,
        "keep": os.fsdecode(group.keep),
        "files": [os.fsdecode(path) for path in group.files],
    }
    return encode_entry(row)


def draw_groups(groups: Iterable[DuplicateGroup]) -> str:
    """Each group with its reason and its files, the one to keep first."""
    from rich.text import Text

    from pictag.cli.tables import draw, make_console
    from pictag.errors import escape

    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - a prefix of text
    rows = []
    for group in groups:
        rows.append(Text(group.reason[0].upper() + group.reason[1:], style="dim"))
        for path in group.files:
            name = escape(os.fsdecode(path).removeprefix(here))
            is_kept = path == group.keep
            rows.append(
                Text.assemble("  keep  " if is_kept else "        ", name, style="bold" if is_kept else "")
            )
        rows.append(Text())
    return draw(make_console(), *rows[:-1])
