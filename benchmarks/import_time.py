"""The time of ``import pictag`` compared with an empty program."""

from __future__ import annotations

import sys

from benchmarks.figures import Figure, Options, compare_processes


def run(_options: Options) -> list[Figure]:
    costs = compare_processes(
        {"pictag": [sys.executable, "-c", "import pictag"], "bare": [sys.executable, "-c", "pass"]}, rounds=15
    )
    ours, bare = costs["pictag"].wall_s * 1000, costs["bare"].wall_s * 1000
    return [
        Figure(
            name="import pictag, added to an empty program",
            measured=ours - bare,
            target=60,
            unit="ms",
            detail=f"{ours:.0f} ms, {bare:.0f} ms for the empty program",
        )
    ]
