"""Ctrl-C, ``kill`` and a closed terminal: the run ends between two images, never within a line."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class Interrupted(KeyboardInterrupt):
    """A signal has ended the run; ``status`` is the exit status that shells expect."""

    def __init__(self, number: int, message: str = "Interrupted.") -> None:
        super().__init__(message)
        self.number = number

    @property
    def status(self) -> int:
        """130 for Ctrl-C, 143 for ``kill``, 129 for a closed terminal."""
        return 128 + self.number


class Interruption:
    """Turns signals into `Interrupted`, and delays them while something is written.

    A second signal during the same write is not delayed: writing to a pipe that is not read may block
    forever. Signals that the process was started to ignore (``nohup``, background jobs) stay ignored.
    """

    def __init__(self) -> None:
        self._holding = False
        self._held: int | None = None
        self._received: int | None = None

    @contextmanager
    def listen(self, names: Sequence[str] = _NAMES) -> Iterator[None]:
        """Make signals raise `Interrupted` in the main thread within the block."""
        previous = {}
        for name in names if threading.current_thread() is threading.main_thread() else ():
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, self._receive)
        try:
            yield
        except Exception as error:
            if self._received is None:
                raise
            # Code in C that was interrupted raises errors of its own: an import of numpy, ImportError.
            raise Interrupted(self._received) from error
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Delay a signal until the end of the block."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._held is not None:
            number, self._held = self._held, None
            raise Interrupted(number)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._received = number
        if self._holding and self._held is None:
            self._held = number
        else:
            raise Interrupted(number)
