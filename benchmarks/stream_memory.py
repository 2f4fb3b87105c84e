"""Memory growth over 10,000 images through ``stream``, after the first 500."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.figures import MOBILENET_V2, ROOT, SHARED, Figure, Options, require_shared

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = 10_000
SETTLED = 500

RUN = r"""
import itertools, json, pathlib, re, sys
from pictag import pipeline

def peak_mb():
    # Not ru_maxrss: a new process starts with the peak of its parent.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024

folder, count, settled_at, options = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
images = sorted(pathlib.Path(folder).iterdir())
with pipeline(**options) as classifier:
    several = itertools.islice(itertools.cycle(images), count)
    for number, prediction in enumerate(classifier.stream(several, top_k=5), start=1):
        assert prediction.error is None, prediction
        if number == settled_at:
            settled = peak_mb()
    assert number == count
    print(json.dumps({"settled_mb": settled, "peak_mb": peak_mb(), "engine": classifier.engine.name}))
"""


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    count = 2 * SETTLED if options.quick else IMAGES
    found = measure_memory(SHARED / "images" / "imagenet", count, model=str(MOBILENET_V2))
    return [
        Figure(
            name=f"stream over {count:,} images: growth after the first {SETTLED}",
            measured=found["peak_mb"] - found["settled_mb"],
            target=50,
            unit="MB",
            detail=f"at most {found['settled_mb']:.0f} MB until then, {found['peak_mb']:.0f} MB in all",
        )
    ]


def measure_memory(images: Path, count: int, *, settled_at: int = SETTLED, **options: str) -> dict[str, Any]:
    """Stream the folder's images repeatedly through ``pipeline(**options)`` in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(images), str(count), str(settled_at), json.dumps(options)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found
