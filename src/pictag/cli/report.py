"""Reports about a run on stderr: progress, failures, a summary."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pictag.cli.ending import ALL_WELL, SOME_FAILED, say, show_warning
from pictag.cli.inputs import Skipped
from pictag.cli.progress import describe_progress
from pictag.errors import PictagWarning, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.cli.destination import Destination
    from pictag.cli.progress import Progress
    from pictag.cli.run import Listing, Result
    from pictag.models.card import ModelCard
    from pictag.records import Failure


class Report:
    """Counts a run's images and reports on them.

    Failures are named on stderr unless the results themselves are on the terminal.
    """

    def __init__(self, destination: Destination, progress: Progress, *, quiet: bool) -> None:
        self.finished = 0
        self.failed = 0
        self.skipped = Skipped()  # finished by an earlier run that this one resumes
        self._destination = destination
        self._progress = progress
        self._quiet = quiet
        self._began_at = time.monotonic()
        self._listing: Listing | None = None

    def begin(self, card: ModelCard, listing: Listing) -> None:
        """Name the model's weights; the listing knows the number of images."""
        self._began_at = time.monotonic()
        self._listing = listing
        if self._progress.shown:
            self._progress.clear()
            say(f"{card.name}: {card.weights}, because {card.why}.")
        self._draw()

    @contextmanager
    def around(self, result: Result) -> Iterator[None]:
        """Surrounds the writing of a result, which is counted once it has been written."""
        if self._destination.on_terminal:
            self._progress.clear()
        yield
        self.finished += 1
        if result.error is not None:
            self.failed += 1
            if not self._quiet and not self._destination.on_terminal:
                self._progress.clear()
                say(describe_failure(result.source, result.error))
        self._draw()

    def show_warning(self, message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        """In place of `warnings.showwarning` during the run."""
        if not (self._quiet and issubclass(category, PictagWarning)):
            self._progress.clear()
            show_warning(message, category, *where, **more)

    def end(self) -> int:
        """Show a summary on a terminal and return the exit status."""
        self._progress.clear()
        several = self.finished + self.skipped.count != 1 or self._destination.path is not None
        if not self._quiet and several and (self._progress.shown or self._destination.on_terminal):
            say(self._summarize())
        return SOME_FAILED if self.failed or self.skipped.failed else ALL_WELL

    def describe_interruption(self) -> str:
        """What was finished before the run was interrupted, and how to continue."""
        self._progress.clear()
        done = f"Interrupted after {_images(self.finished)}"
        destination = self._destination
        if destination.path is None:
            return f"{done}."
        advice = "" if destination.format in ("table", "json") else " Use --resume to continue."
        return f"{done}. Results: {shorten(destination.path)}.{advice}"

    def _summarize(self) -> str:
        elapsed_s = time.monotonic() - self._began_at
        rate = f" ({self.finished / elapsed_s:,.1f}/s)" if self.finished and elapsed_s > 0 else ""
        text = f"{_images(self.finished)} in {elapsed_s:,.1f} s{rate}, {self.failed:,} failed"
        if self.skipped.count:
            text += f"; {self.skipped.count:,} were already done"
        if self.skipped.failed:
            text += f", of which {self.skipped.failed:,} failed (--retry-failed tries them again)"
        where = "" if self._destination.path is None else f" Results: {shorten(self._destination.path)}"
        return f"{text}.{where}"

    def _draw(self) -> None:
        total = None if self._listing is None else self._listing.total
        text = describe_progress(
            finished=self.finished,
            failed=self.failed,
            total=total,
            elapsed_s=time.monotonic() - self._began_at,
        )
        self._progress.draw(text, self.finished, total)


def describe_failure(source: str, error: Failure) -> str:
    """One sentence about an image that failed, with its name."""
    name = shorten(source)
    return error.message if error.message.startswith(name) else f"{name}: {error.message}"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
