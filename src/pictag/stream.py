"""Many pictures through the line: decoded in threads, run in batches, given back in order.

Memory is bounded by the window of pictures that are being worked on, however many there are in all.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import EngineError, PipelineClosed
from pictag.images import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from pictag.images import Source


_PATIENCE_S = 0.5  # most pictures are loaded in less


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one picture: float32 logits [L], or the error that kept them away."""

    source: str
    logits: NDArray[np.float32] | None = None
    error: Exception | None = None


def run_line(
    sources: Iterable[Source | Failed],
    *,
    load: Callable[[Source], NDArray[np.float32]],
    infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    batch_size: int,
    threads: int,
) -> Iterator[Outcome]:
    """Give one `Outcome` for each source, in order.

    ``load`` turns a source into pixel values [C, H, W] and runs in ``threads`` threads; ``infer`` takes a
    batch [N, C, H, W] and runs in the caller's. ``sources`` is read in the caller's thread too, at most
    ``2 × batch_size + threads`` ahead, and no further than needed where it gives its pictures slowly: a
    batch that is loaded does not wait for pictures that have not come yet. When reading it fails, what was
    read before is finished first.
    """
    iterator = iter(sources)
    window = 2 * batch_size + threads
    pending: deque[tuple[str, Future[Any] | Exception]] = deque()
    reading_failed: Exception | None = None
    exhausted = False
    loaders = _LoadingThreads(load, threads)
    try:
        while True:
            read = 0
            while not exhausted and len(pending) < window:
                # A batch's worth is read each time, so that loading goes on while the model runs.
                if read >= batch_size and _is_loaded(pending, batch_size):
                    break
                read += 1
                source = attempt(next, iterator, None)
                if isinstance(source, Exception) or source is None:
                    reading_failed, exhausted = source, True
                elif isinstance(source, Failed):
                    pending.append((source.name, source.error))
                else:
                    pending.append((source.name, loaders.submit(source)))
            if not pending:
                break
            batch = [pending.popleft() for _ in range(min(batch_size, len(pending)))]
            yield from _infer_batch([(name, _settle(result)) for name, result in batch], infer)
    finally:
        loaders.close()
    if reading_failed is not None:
        raise reading_failed


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or the exception that it raised, so that one failure does not end the run."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - the one place where a picture's failure becomes a record
        return error


def _is_loaded(pending: deque[tuple[str, Future[Any] | Exception]], count: int) -> bool:
    return len(pending) >= count and all(
        not isinstance(result, Future) or result.done() for _, result in islice(pending, count)
    )


def _settle(result: Future[Any] | Exception) -> Any:
    return result if isinstance(result, Exception) else result.result()


def _infer_batch(
    batch: Sequence[tuple[str, Any]], infer: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Iterator[Outcome]:
    """Run what was loaded; neighbours of one shape go together, so that order needs no bookkeeping."""
    for shape, members in groupby(batch, key=lambda member: getattr(member[1], "shape", None)):
        group = list(members)
        if shape is None:
            yield from (Outcome(source=name, error=error) for name, error in group)
        else:
            yield from _infer_group(group, infer)


def _infer_group(
    group: Sequence[tuple[str, NDArray[np.float32]]],
    infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Iterator[Outcome]:
    rows = attempt(infer, np.stack([pixels for _, pixels in group]))
    if isinstance(rows, PipelineClosed):  # no picture's fault, and true of all that follow
        raise rows
    if isinstance(rows, EngineError) and len(group) > 1:
        # One of them broke the run: each alone shows which, and saves the others.
        for member in group:
            yield from _infer_group([member], infer)
    elif isinstance(rows, Exception):
        yield from (Outcome(source=name, error=rows) for name, _ in group)
    else:
        yield from (Outcome(source=name, logits=row) for (name, _), row in zip(group, rows, strict=True))


class _LoadingThreads:
    """At most ``count`` threads that load pictures, started as pictures come.

    ``ThreadPoolExecutor`` waits for its threads when it is shut down, and once more when the process ends:
    one that reads from a server that has gone silent would hold up Ctrl-C for as long as a URL may take.
    These are waited for a moment and then left to themselves.
    """

    def __init__(self, load: Callable[[Source], Any], count: int) -> None:
        self._load = load
        self._count = count
        self._threads: list[threading.Thread] = []
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Source] | None] = queue.SimpleQueue()

    def submit(self, source: Source) -> Future[Any]:
        """Have the source loaded; the future gives what `attempt` gives."""
        future: Future[Any] = Future()
        self._waiting.put((future, source))
        if len(self._threads) < self._count:
            name = f"pictag-decode-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Begin no other picture, and wait a moment for those under way."""
        try:
            while True:
                self._waiting.get_nowait()
        except queue.Empty:
            pass
        for _ in self._threads:
            self._waiting.put(None)
        until = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            future, source = task
            try:
                future.set_result(attempt(self._load, source))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
                future.set_exception(error)
            # Or the picture would stay in memory for as long as this thread waits for the next.
            del task, future, source
