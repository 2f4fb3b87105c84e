"""A table for the terminal: each image's labels with their scores as bars, one image at a time.

Names and labels are never parsed as markup, and control characters are shown as escapes. A hostile name can
therefore neither colour the table nor move the cursor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from pictag.errors import OutputError, shorten

if TYPE_CHECKING:
    from pictag.records import Failure, Label, Prediction

_EIGHTHS = "▏▎▍▌▋▊▉█"
_LABEL_CELLS = (6, 44)  # minimum and maximum width of the label column
_BAR_CELLS = (6, 24)
_MAX_NAME_CHARACTERS = 2000


class TableSink:
    """Writes a table to a text stream, as wide as the terminal, in colour if the terminal supports it.

    ``percent`` is False for scores that aren't probabilities: they are shown as numbers, and the image's
    largest score has the longest bar. ``width`` is in character cells; by default the terminal's, or 80.
    """

    def __init__(self, stream: TextIO, *, percent: bool = True, width: int | None = None) -> None:
        self._console = Console(
            file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False, width=width
        )
        self._stream = stream
        self._percent = percent
        self._failed = False

    def write(self, prediction: Prediction) -> None:
        """Write the rows of one image; raises `OutputError` or ``BrokenPipeError``."""
        ascii_only = self._console.options.ascii_only
        self.write_rows(draw_rows(prediction, width=self.width, percent=self._percent, ascii_only=ascii_only))

    @property
    def width(self) -> int:
        """The table's width in character cells."""
        return self._console.width

    def write_rows(self, rows: list[Text]) -> None:
        """Write rows that are drawn already; raises `OutputError` or ``BrokenPipeError``."""
        console = self._console
        # rich would end the process when a pipe is closed, so it only renders.
        with console.capture() as drawn:
            console.print(Text("\n").join(rows), overflow="fold", no_wrap=False)
        try:
            self._stream.write(drawn.get())
            self._stream.flush()
        except OSError as error:
            self._failed = True
            if isinstance(error, BrokenPipeError):
                raise
            raise OutputError(f"Cannot write the table: {error.strerror}.", errno=error.errno) from error

    def close(self) -> None:
        """Close the stream."""
        try:
            self._stream.close()
        except OSError as error:  # the stream still has what could not be written before
            if not self._failed:
                raise OutputError(f"Cannot finish the table: {error.strerror}.", errno=error.errno) from error


def draw_rows(
    prediction: Prediction, *, width: int, percent: bool = True, ascii_only: bool = False
) -> list[Text]:
    """The rows of one image: its name, then one row per label.

    >>> from pictag import Label, Prediction
    >>> tiger = Prediction(source="tiger.jpg", labels=(Label(label="tiger", score=0.75, index=292),))
    >>> for row in draw_rows(tiger, width=40):
    ...     print(row.plain)
    tiger.jpg
      tiger               ████████▎    75.0%
    """
    rows = draw_head(prediction.source, prediction.error)
    if prediction.error is None and not prediction.labels:
        rows.append(Text("  no label reaches the minimum score", style="dim"))
    number_cells = 6 if percent else 11  # 100.0%, -1.234e+100
    # Two spaces, the label, a space, the bar, a space, the number.
    bar_cells = min(max((width - number_cells) // 3, _BAR_CELLS[0]), _BAR_CELLS[1])
    label_cells = min(max(width - number_cells - bar_cells - 4, _LABEL_CELLS[0]), _LABEL_CELLS[1])
    ellipsis = "..." if ascii_only else "…"
    largest = 1.0 if percent else _largest(prediction.labels)
    for label in prediction.labels:
        name = fit(shorten(label.label, _MAX_NAME_CHARACTERS), label_cells, ellipsis)
        bar = _draw_bar(label.score / largest, bar_cells, ascii_only=ascii_only)
        number = f"{label.score:{number_cells}.1%}" if percent else f"{label.score:{number_cells}.4g}"
        rows.append(Text.assemble("  ", name, " ", (bar, "cyan"), " ", number))
    return rows


def draw_head(source: str, error: Failure | None) -> list[Text]:
    """The row with an image's name, and a row with its failure if there is one."""
    rows = [Text(shorten(source, _MAX_NAME_CHARACTERS), style="bold")]
    if error is not None:
        message = error.message.removeprefix(f"{shorten(source)}: ")
        rows.append(Text(f"  {error.kind}: {shorten(message, _MAX_NAME_CHARACTERS)}", style="red"))
    return rows


def _largest(labels: tuple[Label, ...]) -> float:
    return max((abs(e.score) for e in labels if math.isfinite(e.score)), default=0.0) or 1.0


def fit(text: str, cells: int, ellipsis: str = "…") -> str:
    """The text in exactly that many cells: padded with spaces, or cut off with an ellipsis."""
    if cell_len(text) > cells:
        text = set_cell_size(text, cells - len(ellipsis)).rstrip() + ellipsis
    return set_cell_size(text, cells)


def _draw_bar(share: float, cells: int, *, ascii_only: bool) -> str:
    if not share > 0:  # negative logits and NaN have no bar
        return " " * cells
    eighths = round(min(share, 1.0) * cells * 8)
    if ascii_only:
        return ("#" * round(eighths / 8)).ljust(cells)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest - 1] if rest else "")).ljust(cells)
