"""The line: sources in, outcomes out, in order; memory is bounded by the window of pictures under way."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from pictag.images import Failed
from pictag.stream.lanes import Lanes, Outcome, attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from pictag.images import Source
    from pictag.stream.tuning import Tuning

_EVERY_LANE: AbstractContextManager[Any] = contextlib.nullcontext()


def run_line(
    sources: Iterable[Source | Failed],
    *,
    load: Callable[[Source], NDArray[np.float32]],
    infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    tuning: Tuning,
    read: Callable[[Source], Source] = lambda source: source,
    core: AbstractContextManager[Any] = _EVERY_LANE,
) -> Iterator[Outcome]:
    """Give one `Outcome` for each source, in order.

    ``load`` turns a source into pixel values [C, H, W], ``infer`` takes a batch [N, C, H, W]; both run in the
    lanes' threads, side by side, inside ``core`` (a semaphore with a place for each core). ``read`` is called
    there too, outside of it: it waits for disks and servers, and gives the source with its bytes in memory.
    ``sources`` is iterated in the caller's thread, at most ``tuning.window`` ahead, and no further than
    needed where it gives its pictures slowly. When that fails, what came before is finished first.
    """
    iterator = iter(sources)
    pending: deque[Future[Outcome] | Outcome] = deque()
    reading_failed: Exception | None = None
    exhausted = False
    owed = True  # whether a source has still to be read before the next outcome is given
    lanes = Lanes(read=read, load=load, infer=infer, core=core, tuning=tuning)
    try:
        while pending or not exhausted:
            if not exhausted and len(pending) < tuning.window and (owed or not _is_done(pending[0])):
                owed = False
                source: Any = attempt(next, iterator, None)
                if isinstance(source, Exception) or source is None:
                    reading_failed, exhausted = source, True
                elif isinstance(source, Failed):
                    pending.append(Outcome(source=source.name, error=source.error))
                else:
                    pending.append(lanes.submit(source))
            else:
                # One is read for each that is given, so that the lanes stay busy.
                owed = True
                first = pending.popleft()
                yield first if isinstance(first, Outcome) else first.result()
    finally:
        lanes.close()
    if reading_failed is not None:
        raise reading_failed


def _is_done(result: Future[Outcome] | Outcome) -> bool:
    return isinstance(result, Outcome) or result.done()
