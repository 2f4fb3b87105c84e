"""The program: ``pictag``, and ``python -m pictag``.

Importing the command line takes a tenth of a second. Ctrl-C would end that with a traceback, so the handler
here ends the program at once. While a command runs, `pictag.cli` has a handler of its own.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run the command line and return its exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # jobs in the background ignore it
        signal.signal(signal.SIGINT, _end)
    from pictag.cli import main as run

    return run()


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"pictag: Interrupted.\n")
    os._exit(130)  # nothing has been done yet, or everything


if __name__ == "__main__":
    sys.exit(main())
