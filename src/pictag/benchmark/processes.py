"""Worker processes, as who starts them sees them."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from pictag.benchmark.jobs import Began, Broke, Found
from pictag.errors import EngineError, shorten

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import IO

    from pictag.benchmark.jobs import Job, Message


def run_job(job: Job) -> Generator[Message, None, None]:
    """Do the job in a fresh process and give its messages as they come; the last may be a `Broke`.

    The process ends with this iterator, whatever happens.
    """
    with tempfile.TemporaryFile() as errors:
        worker = subprocess.Popen(
            # -P: a file json.py where the user stands is none of ours.
            [sys.executable, "-P", "-m", "pictag.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            with suppress(BrokenPipeError), worker.stdin:
                pickle.dump(job, worker.stdin)
            yield from _read_messages(worker.stdout)
            if worker.wait() != 0:
                yield Broke(error=EngineError(_explain_end(worker.returncode, errors)))
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()


def _read_messages(stream: IO[bytes]) -> Iterator[Message]:
    while True:
        try:
            message = pickle.load(stream)
        except (EOFError, pickle.UnpicklingError):  # it ended, perhaps in the middle of a message
            return
        assert isinstance(message, Began | Found | Broke)
        yield message


def _explain_end(status: int, errors: IO[bytes]) -> str:
    if status < 0:
        with suppress(ValueError):
            name = signal.Signals(-status).name
            hint = "; perhaps there was not enough memory" if name == "SIGKILL" else ""
            return f"The process that measured was ended by {name}{hint}."
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "no reason given")
    return f"The process that measured ended with status {status}: {shorten(last)}"
