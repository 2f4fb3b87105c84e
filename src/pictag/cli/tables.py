"""Tables drawn by rich: as wide as the terminal, and in one piece in a pipe."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pictag.cli.ending import is_terminal
from pictag.errors import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

_PIPE_WIDTH = 1000  # lines are not split in a pipe, for grep
_MIN_WIDTH = 50


def make_console() -> Console:
    """A console for drawing into a string; text in it is never markup."""
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _PIPE_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=max(width, _MIN_WIDTH))


def draw(console: Console, *parts: RenderableType) -> str:
    """The parts as text, without spaces at the ends of lines."""
    with console.capture() as drawn:
        for part in parts:
            console.print(part)
    return "".join(line.rstrip() + "\n" for line in drawn.get().splitlines())


def make_table(rows: Iterable[Sequence[str]], *, head: Sequence[str] = ()) -> Table:
    """A table without lines; its first column is bold if it has no ``head``."""
    table = Table(box=None, show_header=bool(head), padding=(0, 2, 0, 0), header_style="bold")
    for name in head:
        table.add_column(name)
    for row in rows:
        first, *others = (Text(escape(cell), overflow="fold") for cell in row)
        if not head:
            first.stylize("bold")
        table.add_row(first, *others)
    return table
