"""One line on a terminal's stderr that says how far the run is; it leaves nothing behind."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from pictag.cli.ending import is_terminal
from pictag.errors import escape

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from pictag.models.load import DownloadProgress

_REDRAW_S = 0.1
_CLEAR = "\r\x1b[K"


class Progress:
    """Draws on ``stream`` where that is a terminal and ``shown`` is true; otherwise does nothing.

    Whoever writes to the same terminal calls `clear` before and `draw` after.
    """

    def __init__(
        self, *, shown: bool, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._drawn_at: float | None = None
        self._on_screen = False
        self.shown = shown and is_terminal(self._stream)

    def draw(self, text: str) -> None:
        """Show the text in place of the last one; not more often than ten times a second."""
        if not self.shown:
            return
        now = self._clock()
        if self._on_screen and self._drawn_at is not None and now - self._drawn_at < _REDRAW_S:
            return
        self._drawn_at, self._on_screen = now, True
        self._write(_CLEAR + escape(text)[: self._columns() - 1])

    def clear(self) -> None:
        """Take the line off the screen."""
        if self._on_screen:
            self._on_screen = False
            self._write(_CLEAR)

    close = clear

    def show_download(self, progress: DownloadProgress) -> None:
        """Say how much of a model's file has arrived."""
        total = "" if progress.total is None else f" of {progress.total / 1e6:,.1f}"
        self.draw(f"Downloading {progress.file}: {progress.received / 1e6:,.1f}{total} MB")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is gone; the work is not
            self.shown = self._on_screen = False

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80


def describe_progress(*, finished: int, failed: int, total: int | None, elapsed_s: float) -> str:
    """Count, rate, time left and failures in one line.

    >>> describe_progress(finished=50, failed=2, total=1250, elapsed_s=10.0)
    '50 of 1,250 images · 5.0/s · 4:00 left · 2 failed'
    """
    rate = finished / elapsed_s if elapsed_s > 0 else 0.0
    parts = [f"{finished:,} images" if total is None else f"{finished:,} of {total:,} images"]
    if rate:
        parts.append(f"{rate:,.1f}/s")
        if total is not None and total > finished:
            parts.append(f"{describe_duration((total - finished) / rate)} left")
    if failed:
        parts.append(f"{failed:,} failed")
    return " · ".join(parts)


def describe_duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> describe_duration(75), describe_duration(3 * 3600 + 62)
    ('1:15', '3:01:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
