"""The gallery: what indexing costs, similar images in a large library, and near duplicates.

The search of a large library has its own benchmark, ``gallery_search``.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks import near_duplicates
from benchmarks.figures import ROOT, SHARED, Figure, Options, print_progress, require_shared
from benchmarks.material import WORK, make_images

if TYPE_CHECKING:
    from collections.abc import Sequence

LIBRARY_ENTRIES, DIMENSIONS = 100_000, 1280
SMALL_FILES, RENAMED = 10_000, 1_000
PHOTOGRAPHS, ROUNDS = 200, 5
_PICTAG = (sys.executable, "-m", "pictag")


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    quick = options.quick
    return [
        *near_duplicates.measure(quick=quick),
        _measure_precision("embedded" if quick else "efficientnet-lite0"),
        *(_measure_index(model, quick=quick) for model in ("efficientnet-lite0", "embedded")),
        *_measure_again(quick=quick),
        *_measure_similar(quick=quick),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A process that succeeded: its core time, peak memory, and what it wrote on stderr."""

    wall_s: float
    core_s: float
    peak_mb: float
    notes: str


def _run(command: Sequence[str | Path]) -> _Run:
    start = time.perf_counter()
    with tempfile.TemporaryFile() as notes:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=notes, cwd=ROOT) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - start
        notes.seek(0)
        text = notes.read().decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}: {text}")
    return _Run(
        wall_s=wall_s, core_s=usage.ru_utime + usage.ru_stime, peak_mb=usage.ru_maxrss / 1024, notes=text
    )


def _measure_index(model: str, *, quick: bool) -> Figure:
    """Core time of ``pictag index`` beyond that of ``pictag classify``, without the start of the process."""
    count, rounds = (20, 1) if quick else (PHOTOGRAPHS, ROUNDS)
    folder = make_images("500x375", count)
    print_progress(f"index, {model}")
    added, starts = [], []
    with tempfile.TemporaryDirectory() as name:
        single = Path(name) / "single"
        single.mkdir()
        shutil.copy(next(folder.iterdir()), single)
        for number in range(rounds):
            core_s = {}
            for photos in (single, folder):
                library = Path(name) / f"{photos.name}-{number}.db"
                classify = _run([*_PICTAG, "classify", photos, "-m", model, "--quiet", "--format", "jsonl"])
                index = _run([*_PICTAG, "index", photos, "-m", model, "--quiet", "--library", library])
                core_s[photos] = index.core_s - classify.core_s
            added.append((core_s[folder] - core_s[single]) / (count - 1) * 1000)
            starts.append(core_s[single])
    return Figure(
        name=f"index, {model}: core time added to classify, per photograph of 500 × 375",
        measured=statistics.median(added), target=2.0, unit="ms",
        detail=f"{count} photographs; {rounds} rounds: {', '.join(f'{value:.2f}' for value in added)} ms, "
        f"and {statistics.median(starts):.2f} s for the start",
    )  # fmt: skip


def _measure_again(*, quick: bool) -> list[Figure]:
    """``pictag index`` where nothing has changed, and where files were renamed."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tinymodel import make_tiny_model

    count, renamed = (300, 30) if quick else (SMALL_FILES, RENAMED)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder, library = Path(name) / "photos", Path(name) / "gallery.db"
        print_progress(f"index: {count:,} small files")
        for number in range(count):
            path = folder / f"{number % 100:02}" / f"{number:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).save(path)
        # The model doesn't run in what is measured, so it needn't be a real one.
        model = make_tiny_model(Path(name) / "model")
        command: list[str | Path] = [*_PICTAG, "index", folder, "-m", model, "--library", library]
        _run(command)
        unchanged = [_run(command) for _ in range(1 if quick else 3)]
        for path in sorted(folder.rglob("*.jpg"))[:renamed]:
            path.rename(path.with_name(f"new {path.name}"))
        moved = _run(command)
    for run_, expected in ((unchanged[0], f"{count:,} unchanged"), (moved, f"{renamed:,} moved")):
        if not re.search(rf"\b0 new, .*{expected}", run_.notes):
            raise SystemExit(f"index ran the model or missed files: {run_.notes}")
    return [
        Figure(
            name=f"index again, {count:,} unchanged files: core time",
            measured=statistics.median(r.core_s for r in unchanged), target=3.0, unit="s",
            detail=f"without inference; wall time {statistics.median(r.wall_s for r in unchanged):.2f} s",
        ),
        Figure(
            name=f"index again, {renamed:,} of {count:,} files renamed: core time",
            measured=moved.core_s, target=3.0, unit="s",
            detail=f"without inference; wall time {moved.wall_s:.2f} s",
        ),
    ]  # fmt: skip


def make_large_library(entries: int) -> Path:
    """A library of made-up entries with embeddings, written once."""
    sys.path.insert(0, str(ROOT / "tests"))
    from libraries import make_library, synthesize

    path = WORK / f"library-{entries}.db"
    if not path.exists():
        print_progress(f"writing a library of {entries:,} entries (minutes)")
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        make_library(part, synthesize(entries, dimensions=DIMENSIONS)).close()
        part.replace(path)
    return path


def _measure_similar(*, quick: bool) -> list[Figure]:
    entries = 2_000 if quick else LIBRARY_ENTRIES
    library = make_large_library(entries)
    print_progress(f"similar: {entries:,} entries")
    photo = "/photos/2015/01-01/IMG_000000.jpg"
    cold = [_run([*_PICTAG, "similar", photo, "--library", library]) for _ in range(1 if quick else 5)]
    warm = _run([sys.executable, "-m", "benchmarks.gallery", library])
    wall_ms, core_ms = (float(value) for value in warm.notes.split())
    core_s, wall_s = (statistics.median(getattr(r, name) for r in cold) for name in ("core_s", "wall_s"))
    what = f"{entries:,} entries with embeddings of {DIMENSIONS:,} numbers"
    return [
        Figure(
            name="pictag similar, cold: core time", measured=core_s, target=2.0, unit="s",
            detail=f"{what}; wall time {wall_s:.2f} s, {max(r.peak_mb for r in cold):.0f} MB",
        ),
        Figure(
            name="similar with an open library: core time", measured=core_ms, target=60.0, unit="ms",
            detail=f"{what}; median of 30 calls; wall time {wall_ms:.1f} ms",
        ),
        Figure(
            name="similar with an open library: peak memory", measured=warm.peak_mb, target=800.0, unit="MB",
            detail=what,
        ),
    ]  # fmt: skip


def _time_similar(library: str) -> None:
    """In a process of its own, for its memory: the wall and core time of one call, on stderr."""
    from pictag.gallery import Gallery

    times = []
    with Gallery.open(library) as gallery:
        paths = [os.fsdecode(p) for (p,) in gallery.connection.execute("SELECT path FROM files LIMIT 31")]
        gallery.similar(paths[0])
        for path in paths[1:]:
            start = time.perf_counter(), time.process_time()
            gallery.similar(path)
            times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    print(*(statistics.median(values) * 1000 for values in zip(*times, strict=True)), file=sys.stderr)


def _measure_precision(model: str) -> Figure:
    """The share of the ten most similar photographs with the same label: ants or bees."""
    from pictag import pipeline
    from pictag.gallery import Gallery

    print_progress(f"similar: precision, {model}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        with tarfile.open(SHARED / "datasets" / "ants-bees.tar.xz") as tar:
            tar.extractall(folder, filter="data")
        paths = sorted(folder.rglob("*.jpg"))
        right = total = 0
        with (
            pipeline(model=model, embeddings=True) as classifier,
            Gallery.open(Path(name) / "gallery.db", create=True) as gallery,
        ):
            gallery.index([folder], classifier)
            for path in paths:
                found = gallery.similar(path)
                right += sum(Path(file.name).parent.name == path.parent.name for file in found)
                total += len(found)
    return Figure(
        name=f"similar, {model}: precision at 10", measured=right / total, target=0.87, unit="", more=True,
        detail=f"{len(paths)} photographs of ants and bees",
    )  # fmt: skip


if __name__ == "__main__":
    _time_similar(sys.argv[1])
