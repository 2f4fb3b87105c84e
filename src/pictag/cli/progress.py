"""Progress on a terminal's stderr: one line and a bar that leave nothing behind."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from pictag.cli.ending import is_terminal
from pictag.errors import escape

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from pictag.options import DownloadProgress

_BAR_CELLS = 24
_REDRAWS_PER_SECOND = 10


class Progress:
    """Draws on stderr if that is a terminal and ``shown`` is true; otherwise does nothing.

    Call `clear` before anything else is written to the terminal. The next `draw` shows the line again.
    """

    def __init__(self, *, shown: bool) -> None:
        self._state: tuple[str, int, int | None] = ("", 0, None)
        self._live: Live | None = None
        if shown and is_terminal(sys.stderr):
            from rich.console import Console  # takes 0.1 s to import, so not without a terminal
            from rich.live import Live

            console = Console(stderr=True)
            if console.is_interactive:  # a "dumb" terminal can't move its cursor
                self._live = Live(
                    console=console,
                    get_renderable=self._render,
                    refresh_per_second=_REDRAWS_PER_SECOND,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )

    @property
    def shown(self) -> bool:
        """Whether anything is drawn."""
        return self._live is not None

    def draw(self, text: str, done: int = 0, total: int | None = None) -> None:
        """Show the text, followed by a bar if the ``total`` is known."""
        self._state = (text, done, total)
        if self._live is not None:
            with suppress(OSError):  # the terminal is gone, but the work can go on
                self._live.start(refresh=True)

    def clear(self) -> None:
        """Remove the line from the screen."""
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()

    close = clear

    def show_download(self, progress: DownloadProgress) -> None:
        """Show how much of a model's file has arrived."""
        total = "" if progress.total is None else f" of {progress.total / 1e6:,.1f}"
        text = f"Downloading {progress.file}: {progress.received / 1e6:,.1f}{total} MB"
        self.draw(text, progress.received, progress.total)

    def _render(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        text, done, total = self._state
        row: list[RenderableType] = [Text(escape(text), no_wrap=True, overflow="ellipsis")]
        if total:
            row.append(ProgressBar(completed=done, total=total, width=_BAR_CELLS))
        line = Table.grid(padding=(0, 1))
        line.add_row(*row)
        return line


def describe_progress(*, finished: int, failed: int, total: int | None, elapsed_s: float) -> str:
    """Count, rate, time left and failures in one line.

    >>> describe_progress(finished=50, failed=2, total=1250, elapsed_s=10.0)
    '50 of 1,250 images · 5.0/s · 0:04:00 left · 2 failed'
    """
    rate = finished / elapsed_s if elapsed_s > 0 else 0.0
    parts = [f"{finished:,} images" if total is None else f"{finished:,} of {total:,} images"]
    if rate:
        parts.append(f"{rate:,.1f}/s")
        if total is not None and total > finished:
            parts.append(f"{timedelta(seconds=round((total - finished) / rate))} left")
    if failed:
        parts.append(f"{failed:,} failed")
    return " · ".join(parts)
