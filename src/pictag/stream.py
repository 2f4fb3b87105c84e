"""Many pictures through the line: decoded in threads, run in batches, given back in order.

Memory is bounded by the window of pictures that are being worked on, however many there are in all.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import EngineError
from pictag.images import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from pictag.images import Source


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
    ``2 × batch_size + threads`` ahead. When reading it fails, what was read before is finished first.
    """
    iterator = iter(sources)
    window = 2 * batch_size + threads
    pending: deque[tuple[str, Future[Any] | Exception]] = deque()
    reading_failed: Exception | None = None
    exhausted = False
    pool = ThreadPoolExecutor(threads, thread_name_prefix="pictag-decode")
    try:
        while True:
            while not exhausted and len(pending) < window:
                source = attempt(next, iterator, None)
                if isinstance(source, Exception) or source is None:
                    reading_failed, exhausted = source, True
                elif isinstance(source, Failed):
                    pending.append((source.name, source.error))
                else:
                    pending.append((source.name, pool.submit(attempt, load, source)))
            if not pending:
                break
            batch = [pending.popleft() for _ in range(min(batch_size, len(pending)))]
            yield from _infer_batch([(name, _settle(result)) for name, result in batch], infer)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if reading_failed is not None:
        raise reading_failed


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or the exception that it raised, so that one failure does not end the run."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - the one place where a picture's failure becomes a record
        return error


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
    if isinstance(rows, EngineError) and len(group) > 1:
        # One of them broke the run: each alone shows which, and saves the others.
        for member in group:
            yield from _infer_group([member], infer)
    elif isinstance(rows, Exception):
        yield from (Outcome(source=name, error=rows) for name, _ in group)
    else:
        yield from (Outcome(source=name, logits=row) for (name, _), row in zip(group, rows, strict=True))
