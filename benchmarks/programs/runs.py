"""The protocol of a measured program: a number of images per line in, one line of JSON per run out.

Uses only the standard library, because programs in other environments import it too.
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


def answer_runs(classify: Callable[[Iterator[str]], Iterable[str]], *, images: Path, **facts: Any) -> None:
    """Do one run for each line on standard input, until it ends.

    ``classify`` yields the best label of each file; the files of the folder ``images`` are repeated.
    ``facts`` are written once, before the first run.
    """
    files = [str(path) for path in sorted(images.iterdir())]

    def run_once(count: int) -> dict[str, Any]:
        start = time.perf_counter()
        labels = list(classify(itertools.islice(itertools.cycle(files), count)))
        seconds = time.perf_counter() - start
        assert len(labels) == count, f"{len(labels)} labels for {count} images"
        return {"images": count, "seconds": seconds, "labels": labels[: len(files)]}

    answer(run_once, **facts)


def answer(run_once: Callable[[int], dict[str, Any]], **facts: Any) -> None:
    """The same for a program that measures time itself: ``run_once`` returns ``images`` and ``seconds``."""
    _write(facts)
    for line in sys.stdin:
        _write(run_once(int(line)))


def _write(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)
