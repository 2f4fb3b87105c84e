"""What signals ask of a server that runs."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from pictag.server import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from pictag.server.serving import GracefulServer

ALL_WELL, SOME_CUT_OFF = 0, 1  # exit statuses of a server that was stopped


class Stop:
    """What signals ask for: to finish and end, the second to end at once, SIGHUP to load the models anew."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.reload: Callable[[], object] | None = None
        self._had_terminal = os.isatty(0)
        self.server: GracefulServer | None = None
        self.deadline_s: float | None = None

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """While inside, SIGTERM and SIGINT come here; outside the main thread they do not."""
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
        """A signal has come."""
        # A terminal that is closed sends SIGHUP too: who started the server there has left.
        if number == getattr(signal, "SIGHUP", None) and not (self._had_terminal and not os.isatty(0)):
            if self.reload is not None and self.deadline_s is None:
                self.reload()
            return
        if self.deadline_s is not None:
            _end(128 + number)
        if self.server is None:  # nothing was accepted yet; a model that is loading can wait for nobody
            _end(ALL_WELL)
        self.begin()

    def begin(self) -> None:
        """Stop: whatever happens, the process is gone when the time is over."""
        assert self.server is not None
        self.deadline_s = time.monotonic() + self.timeout_s
        self.server.stop()
        if threading.current_thread() is threading.main_thread():
            watchdog = threading.Timer(self.timeout_s - min(0.5, self.timeout_s / 20), _end, [SOME_CUT_OFF])
            watchdog.daemon = True
            watchdog.start()


def _end(status: int) -> NoReturn:
    logs.flush()
    os._exit(status)
