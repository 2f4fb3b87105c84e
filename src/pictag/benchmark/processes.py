"""Start a measuring process, and read its updates."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from pictag.errors import EngineError, PictagError, shorten

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import IO

    from pictag.benchmark.tasks import ModelTask, Update


def run_task(task: ModelTask) -> Generator[Update, None, None]:
    """Measure in a new process and yield its updates as they arrive.

    Closing the iterator ends the process. Raises the `PictagError` that ended the measurement, or
    `EngineError` if the process crashed.
    """
    with tempfile.TemporaryFile() as errors:
        worker = subprocess.Popen(
            # -P: modules in the current directory must not replace the standard library's.
            [sys.executable, "-P", "-m", "pictag.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            with suppress(BrokenPipeError), worker.stdin:
                pickle.dump(task, worker.stdin)
            # The process may end in the middle of a message.
            with suppress(EOFError, pickle.UnpicklingError):
                while True:
                    message: Update | PictagError = pickle.load(worker.stdout)
                    if isinstance(message, PictagError):
                        raise message
                    yield message
            if worker.wait() != 0:
                raise EngineError(_explain_exit(worker.returncode, errors))
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()


def _explain_exit(status: int, errors: IO[bytes]) -> str:
    if status < 0:
        with suppress(ValueError):
            name = signal.Signals(-status).name
            hint = " It may have run out of memory." if name == "SIGKILL" else ""
            return f"The measuring process was ended by {name}.{hint}"
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines() or ["it gave no reason"]
    return f"The measuring process ended with status {status}: {shorten(lines[-1])}"
