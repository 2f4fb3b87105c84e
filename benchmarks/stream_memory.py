"""Ten thousand pictures through ``stream``: the memory after the first five hundred must not grow."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.figures import MOBILENET_V2, ROOT, SHARED, Figure, Options, require_shared

PICTURES = 10_000
SETTLED = 500

RUN = f"""
import itertools, pathlib, sys
from pictag import pipeline

def resident_mb():
    fields = pathlib.Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096 / 2**20

pictures = sorted(pathlib.Path(sys.argv[1]).iterdir())
with pipeline(model=sys.argv[2]) as classifier:
    several = itertools.islice(itertools.cycle(pictures), {PICTURES})
    highest = 0.0
    for number, prediction in enumerate(classifier.stream(several, top_k=5), start=1):
        assert prediction.error is None, prediction
        if number == {SETTLED}:
            settled = resident_mb()
        elif number > {SETTLED} and number % 50 == 0:
            highest = max(highest, resident_mb())
print(number, settled, highest)
"""


def run(_options: Options) -> list[Figure]:
    if not require_shared():
        return []
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(SHARED / "images" / "imagenet"), str(MOBILENET_V2)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    count, settled, highest = (float(x) for x in done.stdout.split())
    assert count == PICTURES
    return [
        Figure(
            name=f"stream over {PICTURES:,} pictures: growth after the first {SETTLED}",
            measured=highest - settled,
            bar=50,
            unit="MB",
            detail=f"{settled:.0f} MB, at most {highest:.0f} MB",
        )
    ]
