"""Stopping and reloading a server by signals."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

STOPPED, CUT_OFF = 0, 1  # exit statuses: all requests finished, or some were cut off


class SignalHandler:
    """SIGTERM and SIGINT stop the server, a second one ends the process, SIGHUP reloads the models.

    ``stop`` and ``reload`` are set once the server accepts requests. After ``timeout_s`` the process ends in
    any case.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.stop: Callable[[], object] | None = None
        self.reload: Callable[[], object] | None = None
        self._had_terminal = os.isatty(0)
        self._deadline_s: float | None = None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals inside the block; only possible in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        before = {number: signal.signal(number, self.receive) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle one signal."""
        # A terminal that closes sends SIGHUP too, which should stop the server.
        if number == getattr(signal, "SIGHUP", None) and not (self._had_terminal and not os.isatty(0)):
            if self.reload is not None and self._deadline_s is None:
                self.reload()
            return
        if self._deadline_s is not None:
            os._exit(128 + number)
        if self.stop is None:  # no request was accepted yet; models may still be loading
            os._exit(STOPPED)
        self._deadline_s = time.monotonic() + self.timeout_s
        self.stop()
        watchdog = threading.Timer(self.timeout_s - min(0.5, self.timeout_s / 20), os._exit, [CUT_OFF])
        watchdog.daemon = True
        watchdog.start()
