"""How a racing program is spoken to: a line with a number of images in, a line of JSON with the lap out.

Its standard library only: programs of other environments use it too.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def answer_laps(classify: Callable[[Iterator[str]], Iterable[str]], *, images: Path, **facts: Any) -> None:
    """Run a lap for each line on standard input, until it ends.

    ``classify`` gives the best label of each of the files, which are those of the folder ``images``, over
    and over. ``facts`` are told once, before the first lap.
    """
    files = [str(path) for path in sorted(images.iterdir())]

    def run_lap(count: int) -> dict[str, Any]:
        start = time.perf_counter()
        labels = list(classify(itertools.islice(itertools.cycle(files), count)))
        seconds = time.perf_counter() - start
        assert len(labels) == count, f"{len(labels)} labels for {count} images"
        return {"images": count, "seconds": seconds, "labels": labels[: len(files)]}

    answer(run_lap, **facts)


def answer(run_lap: Callable[[int], dict[str, Any]], **facts: Any) -> None:
    """The same for a program that times itself: ``run_lap`` gives ``images`` and ``seconds``."""
    _tell(facts)
    for line in sys.stdin:
        _tell(run_lap(int(line)))


def _tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)
