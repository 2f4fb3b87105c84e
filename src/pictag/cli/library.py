"""The library of the gallery's commands: ``--library``, ``PICTAG_LIBRARY``, or one in the home folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pictag.errors import OptionError

if TYPE_CHECKING:
    from pictag.cli.ending import Invocation

LIBRARY = click.option(
    "--library",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The library's file. [default: PICTAG_LIBRARY, or gallery.db in pictag's data folder]",
)


def choose_library(given: Path | None, invocation: Invocation) -> Path:
    """The file of the library. Raises `OptionError` where there is no home folder for the default."""
    if given is not None:
        return given
    if invocation.settings.library is not None:
        return Path(invocation.settings.library).expanduser()
    import platformdirs

    try:
        return platformdirs.user_data_path("pictag", appauthor=False) / "gallery.db"
    except RuntimeError as error:
        raise OptionError("There is no home folder for the library. Use --library FILE.") from error
