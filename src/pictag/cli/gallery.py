"""``pictag gallery``: people's decisions about labels, and the library itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pictag.cli.ending import Invocation, debug_option, say
from pictag.cli.library import LIBRARY, choose_library
from pictag.cli.options import REPORT_FORMAT
from pictag.errors import ImageUnreadable, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.gallery import Gallery

_PHOTO = click.argument("photo", metavar="PHOTO")
_WORDS = click.argument("words", nargs=-1, required=True, metavar="WORD...")


@click.group(short_help="Review labels, and manage the gallery's library.")
def gallery_app() -> None:
    """Review labels, and manage the gallery's library.

    Decisions are stored for an image's pixels. They apply to all copies of a file, stay when files are
    renamed or indexed again, also with another model, and always override the model.
    """


def _open(library: Path | None, invocation: Invocation, *, create: bool = False) -> Gallery:
    from pictag.gallery import Gallery

    return Gallery.open(choose_library(library, invocation), create=create)


def _decision(name: str, done: str, summary: str, details: str) -> None:
    """Make the command that gives one verdict."""

    def decide(invocation: Invocation, library: Path | None, photo: str, words: tuple[str, ...]) -> None:
        with _open(library, invocation) as gallery:
            for word in words:
                found = getattr(gallery, name)(photo, word)
                say(f"{shorten(photo)}: {shorten(found)}: {done}.")

    decide.__doc__ = f"{summary}\n\n    {details}"
    command: Callable[..., Any] = click.pass_obj(decide)
    for decorate in (debug_option, LIBRARY, _WORDS, _PHOTO):
        command = decorate(command)
    gallery_app.command(name, short_help=summary)(command)


_decision("confirm", "confirmed", "Confirm labels of a photograph.", "A confirmed label has the score 1.")
_decision(
    "reject",
    "rejected",
    "Reject labels of a photograph.",
    "A search for them no longer finds the photograph.",
)
_decision("add", "added", "Add words to a photograph.", "Each WORD is a keyword; quote one that has spaces.")
_decision(
    "forget",
    "decision forgotten",
    "Withdraw decisions about a photograph.",
    "The model's labels apply again.",
)


@gallery_app.command("status", short_help="Show the library's folders, images, model and decisions.")
@LIBRARY
@REPORT_FORMAT
@debug_option
@click.pass_obj
def show_status(invocation: Invocation, *, library: Path | None, format_: str) -> None:
    """Show the library's folders, images, model and decisions."""
    with _open(library, invocation) as gallery:
        status = gallery.status()
    if format_ == "json":
        click.echo(json.dumps(status, indent=2, ensure_ascii=False))
        return
    for name, value in status.items():
        lines = (
            value if isinstance(value, list) else [f"{value:,}" if isinstance(value, int) else value or "-"]
        )
        for number, line in enumerate(lines or ["-"]):
            click.echo(f"{'' if number else name.replace('_', ' '):<12}  {shorten(line)}")


@gallery_app.command("export", short_help="Write all decisions as JSON Lines.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to FILE, which is replaced. [default: standard output]",
)
@LIBRARY
@debug_option
@click.pass_obj
def export(invocation: Invocation, *, output: Path | None, library: Path | None) -> None:
    """Write all decisions as JSON Lines, for a backup or another library."""
    from pictag.gallery.decisions import export_decisions
    from pictag.replacement import replace_file

    with _open(library, invocation) as gallery:
        if output is None:
            for line in export_decisions(gallery.connection):
                click.echo(line)
            return
        with replace_file(output) as stream:
            for line in export_decisions(gallery.connection):
                stream.write(f"{line}\n".encode())


@gallery_app.command("import", short_help="Import exported decisions.")
@click.argument("file", metavar="FILE|-")
@LIBRARY
@debug_option
@click.pass_obj
def import_(invocation: Invocation, *, file: str, library: Path | None) -> None:
    """Import decisions that 'pictag gallery export' wrote. If two are about the same word of an image, the
    later one is kept. They also apply to images that are indexed later.
    """
    from pictag.gallery.decisions import import_decisions

    lines = _read_lines(file)
    with _open(library, invocation, create=True) as gallery:
        stored, older = import_decisions(gallery.connection, lines, name=file)
    say(f"{stored:,} decision{'' if stored == 1 else 's'} imported, {older:,} already known or older.")


def _read_lines(file: str) -> list[str]:
    """The whole file, before a library is made for it or locked."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ImageUnreadable(f"Cannot read {shorten(file)}: {error.strerror}.", errno=error.errno) from error
    return data.decode("utf-8", "surrogateescape").split("\n")


@gallery_app.command("remove", short_help="Remove a folder from the library.")
@click.argument("folder", metavar="FOLDER")
@LIBRARY
@debug_option
@click.pass_obj
def remove(invocation: Invocation, *, folder: str, library: Path | None) -> None:
    """Remove FOLDER and its images from the library. The photographs and your decisions stay."""
    with _open(library, invocation) as gallery:
        count = gallery.remove(folder)
    say(f"{count:,} image{'' if count == 1 else 's'} removed from the library; the files are unchanged.")
