"""One job in a process of its own: its memory and its warm-up are nobody else's.

Run by `pictag.benchmark.processes`: a pickled job comes on standard input, pickled messages go to standard
output.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import TYPE_CHECKING

from pictag.errors import PictagError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.benchmark.jobs import Job, Message


def main() -> None:
    """Read the job, do it, and write what is found as soon as it is known."""
    # Ctrl-C reaches every process of the terminal; whoever started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What native code prints must not come between the messages.
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job: Job = pickle.load(sys.stdin.buffer)
    for message in do_job(job):
        pickle.dump(message, messages)
        messages.flush()


def do_job(job: Job) -> Iterator[Message]:
    """Do the job in this process; what pictag raises on purpose is the last message."""
    from pictag.benchmark.jobs import Broke, ImageJob, LimitJob

    try:
        # Each kind loads what it needs and no more: it would count as the engine's start, and its memory.
        if isinstance(job, ImageJob):
            from pictag.benchmark.image_steps import measure_images

            yield from measure_images(job)
        elif isinstance(job, LimitJob):
            from pictag.benchmark.limits import measure_limits

            yield from measure_limits(job)
        else:
            from pictag.benchmark.model_steps import measure_model

            yield from measure_model(job)
    except PictagError as error:
        yield Broke(error=error)


if __name__ == "__main__":
    main()
