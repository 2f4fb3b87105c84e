"""What a person is told about a run, on stderr: how far it is, what failed, how it ended."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pictag.cli.ending import ALL_WELL, SOME_FAILED, say
from pictag.cli.inputs import Skipped
from pictag.cli.progress import describe_progress
from pictag.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pictag.cli.destination import Destination
    from pictag.cli.progress import Progress
    from pictag.models.card import ModelCard
    from pictag.records import Failure, Prediction


class Report:
    """Counts a run's images and tells of them.

    Failures are named on stderr where the results do not show them on the terminal already.
    """

    def __init__(self, destination: Destination, progress: Progress, *, quiet: bool) -> None:
        self.finished = 0
        self.failed = 0
        self.skipped = Skipped()  # done by an earlier run, which this one goes on with
        self._destination = destination
        self._progress = progress
        self._quiet = quiet
        self._began_at = time.monotonic()
        self._total: int | None = None

    def begin(self, card: ModelCard, countable: Iterable[object] | None) -> None:
        """The model is loaded; the images are counted beside the work, where a progress line needs it."""
        if self._progress.shown:
            self._progress.clear()
            say(f"{card.name}: {card.weights}, because {card.why}.")
        self._began_at = time.monotonic()
        if self._progress.shown and countable is not None:
            threading.Thread(target=self._count, args=(countable,), name="pictag-count", daemon=True).start()
        self._draw()

    @contextmanager
    def around(self, prediction: Prediction) -> Iterator[None]:
        """Stands around the writing of one result; it is counted when it was written."""
        if self._destination.on_terminal:
            self._progress.clear()
        yield
        self.finished += 1
        if prediction.error is not None:
            self.failed += 1
            if not self._quiet and not self._destination.on_terminal:
                self._progress.clear()
                say(_describe_failure(prediction.source, prediction.error))
        self._draw()

    def end(self) -> int:
        """Sum up where a person is looking, and give the exit status."""
        self._progress.clear()
        several = self.finished + self.skipped.count != 1 or self._destination.path is not None
        if not self._quiet and several and (self._progress.shown or self._destination.on_terminal):
            say(self._describe())
        return SOME_FAILED if self.failed or self.skipped.failed else ALL_WELL

    def describe_interruption(self) -> str:
        """What was finished before the run was interrupted, and how to go on."""
        self._progress.clear()
        done = f"Interrupted after {_images(self.finished)}"
        destination = self._destination
        if destination.path is None:
            return f"{done}."
        if destination.format == "table":
            return f"{done}; they are in {shorten(destination.path)}."
        return f"{done}; they are in {shorten(destination.path)}, and --resume goes on from there."

    def _describe(self) -> str:
        elapsed_s = time.monotonic() - self._began_at
        rate = f" ({self.finished / elapsed_s:,.1f}/s)" if self.finished and elapsed_s > 0 else ""
        text = f"{_images(self.finished)} in {elapsed_s:,.1f} s{rate}, {self.failed:,} failed"
        if self.skipped.count:
            text += f"; {self.skipped.count:,} were done before"
            if self.skipped.failed:
                text += f", {self.skipped.failed:,} of them failed (--retry-failed tries those again)"
        where = "" if self._destination.path is None else f" Results: {shorten(self._destination.path)}"
        return f"{text}.{where}"

    def _draw(self) -> None:
        if self._progress.shown:
            elapsed_s = time.monotonic() - self._began_at
            text = describe_progress(
                finished=self.finished, failed=self.failed, total=self._total, elapsed_s=elapsed_s
            )
            self._progress.draw(text, self.finished, self._total)

    def _count(self, countable: Iterable[object]) -> None:
        self._total = sum(1 for _ in countable)


def _describe_failure(source: str, error: Failure) -> str:
    name = shorten(source)
    return error.message if error.message.startswith(name) else f"{name}: {error.message}"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
