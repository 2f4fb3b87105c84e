"""The speed of this code over an earlier revision's: the jobs of docs/performance.md, in alternating runs.

Run it with ``python -m benchmarks revisions --base REVISION``. Both sides use this environment, and the same
files and weights.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import ROOT, Figure, Options, print_progress, require_shared
from benchmarks.jobs import JOBS, RACES, Job
from benchmarks.material import make_images, prepare_models
from benchmarks.race import Schedule, System, race

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.material import ModelSet

SCHEDULE = Schedule(run_s=5.0, runs=5, min_images=32)
QUICK_SCHEDULE = Schedule(run_s=1.0, runs=1, min_images=8)
MIN_MEAN, MIN_EACH = 0.98, 0.93


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    if not options.base:
        print_progress("name the revision to compare with: --base REVISION")
        return []
    figures = []
    models = prepare_models()
    schedule = QUICK_SCHEDULE if options.quick else SCHEDULE
    with TemporaryDirectory() as folder:
        sources = {"base": unpack_source(options.base, Path(folder)), "this": ROOT / "src"}
        for job in JOBS:
            if options.races and job.race not in options.races:
                continue
            for name, arguments in list_programs(job, models):
                systems = [make_system(side, source, arguments) for side, source in sources.items()]
                results, dropouts = race(systems, schedule)
                if dropouts:
                    raise SystemExit(f"{name}: {dropouts}")
                base, this = (result.rate for result in results)
                detail = f"{this:.1f} against {base:.1f} images per second"
                figures.append(
                    Figure(
                        name=name, measured=this / base, target=MIN_EACH, unit="×", detail=detail, more=True
                    )
                )
                print_progress(f"{name}: {this / base:.3f}×, {detail}")
    if figures:
        mean = math.exp(sum(math.log(figure.measured) for figure in figures) / len(figures))
        figures.append(
            Figure(name="geometric mean", measured=mean, target=MIN_MEAN, unit="×", detail="", more=True)
        )
    return figures


def unpack_source(revision: str, folder: Path) -> Path:
    """The ``src`` folder of a revision, in ``folder``."""
    archive = subprocess.run(
        ["git", "archive", revision, "src/pictag"], cwd=ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as content:
        content.extractall(folder, filter="data")
    return folder / "src"


def list_programs(job: Job, models: Mapping[str, ModelSet]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The name of each program of a job, and its arguments; both engines where the best one counts."""
    one = next(race for race in RACES if race.key == job.race)
    model = models[one.model]
    folder = {"float": model.onnx, "int8": model.int8, "dynamic int8": model.dynamic}[job.weights]
    if folder is None:
        print_progress(f"{job.title}: {model.why_missing}")
        return
    images = make_images(one.images, one.image_count)
    for engine in ("onnxruntime", "openvino") if job.engine == "best" else (job.engine,):
        options = {
            "engine": engine,
            "dtype": "fp32" if job.weights == "float" else "q8",
            "decode": one.decode,
        }
        yield f"{job.title}, {engine}", (str(images), str(folder), json.dumps(options))


def make_system(side: str, source: Path, arguments: tuple[str, ...]) -> System:
    """The program that streams the images, with the library of one side."""
    program = ("env", f"PYTHONPATH={source}", sys.executable, "-m", "benchmarks.programs.end_to_end")
    return System(name=side, command=(*program, *arguments), weights="", family="pictag")
