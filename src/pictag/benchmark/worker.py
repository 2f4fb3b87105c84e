"""The program of a measuring process, so that memory and warm-up belong to one engine and dtype alone.

Run by `pictag.benchmark.processes`: reads a pickled `ModelTask` from standard input and writes pickled
updates, or the error that ended the measurement, to standard output.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import warnings

from pictag.benchmark.model import measure_model
from pictag.errors import PictagError, PictagWarning


def main() -> None:
    """Read the task, measure, and write each update at once."""
    # Ctrl-C reaches every process of the terminal; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Native code may print to standard output, where only messages may go.
    messages = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    # They would go to the user's terminal.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", category=PictagWarning)
    task = pickle.load(sys.stdin.buffer)
    try:
        for update in measure_model(task):
            messages.write(pickle.dumps(update))
    except PictagError as error:
        messages.write(pickle.dumps(error))


if __name__ == "__main__":
    main()
