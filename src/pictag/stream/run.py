"""The line: sources in, outcomes out, in order; memory is bounded by the window of images under way."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from pictag.images import Failed
from pictag.stream.executor import Executor, Outcome, capture_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from pictag.images import Source
    from pictag.stream.tuning import Tuning

_NO_LIMIT: AbstractContextManager[Any] = contextlib.nullcontext()


def run_stream(
    sources: Iterable[Source | Failed],
    *,
    load: Callable[[Source], NDArray[np.float32]],
    infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    tuning: Tuning,
    read: Callable[[Source], Source] = lambda source: source,
    compute_slots: AbstractContextManager[Any] = _NO_LIMIT,
) -> Iterator[Outcome]:
    """Give one `Outcome` for each source, in order.

    ``load`` turns a source into pixel values [C, H, W], ``infer`` takes a batch [N, C, H, W]; both run in the
    workers' threads, side by side, inside ``compute_slots`` (a semaphore with one slot per core). ``read`` is
    called there too, outside of the slots: it waits for disks and servers, and returns the source with its
    bytes in memory. ``sources`` is iterated in the caller's thread, at most ``tuning.window`` ahead, and no
    further than needed when it yields slowly. If it raises, the sources before the error are finished first.
    """
    iterator = iter(sources)
    pending: deque[Future[Outcome] | Outcome] = deque()
    reading_failed: Exception | None = None
    exhausted = False
    owed = True  # whether a source has still to be read before the next outcome is given
    workers = Executor(read=read, load=load, infer=infer, compute_slots=compute_slots, tuning=tuning)
    try:
        while pending or not exhausted:
            if not exhausted and len(pending) < tuning.window and (owed or not _is_done(pending[0])):
                owed = False
                source: Any = capture_error(next, iterator, None)
                if isinstance(source, Exception) or source is None:
                    reading_failed, exhausted = source, True
                elif isinstance(source, Failed):
                    pending.append(Outcome(source=source.name, error=source.error))
                else:
                    pending.append(workers.submit(source))
            else:
                # One is read for each that is given, so that the workers stay busy.
                owed = True
                first = pending.popleft()
                yield first if isinstance(first, Outcome) else first.result()
    finally:
        workers.close()
    if reading_failed is not None:
        raise reading_failed


def _is_done(result: Future[Outcome] | Outcome) -> bool:
    return isinstance(result, Outcome) or result.done()
