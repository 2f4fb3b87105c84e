"""The cost of HTTP: the server compared with `pictag classify`, one client compared with the library."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import ROOT, Figure
from benchmarks.load_result import count_faults, quantile_ms
from benchmarks.serve_material import Model, expect, prepare_images
from benchmarks.serve_plan import Plan, RequestImage
from benchmarks.serve_process import run_load, start_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.load_result import LoadResult
    from benchmarks.serve_process import Server

CONNECTIONS = 32
FEW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One model, and images with the library's results for them."""

    model: Model
    images: tuple[RequestImage, ...]

    @property
    def files(self) -> list[str]:
        return [one.path for one in self.images]


def make_rig(model: Model, files: Sequence[Path] | None = None) -> Rig:
    """A rig with these files, by default images of 500×375."""
    with model.open() as classifier:
        return Rig(model=model, images=expect(sorted(files or prepare_images().iterdir()), classifier))


def measure_throughput(rig: Rig, *, rounds: int, count: int) -> list[Figure]:
    """Alternate between the command and the server; check every response of the server."""
    ours, theirs, results = [], [], []
    with start_server(*rig.model.arguments) as server:
        warm_up(server, rig)
        before = server.metrics()
        for _ in range(rounds):
            theirs.append(measure_command(rig, count))
            results.append(
                run_load(
                    server,
                    Plan(port=server.port, images=rig.images, connections=CONNECTIONS, count=count),
                )
            )
            ours.append(results[-1].rate)
        after = server.metrics()
    runs = after["pictag_executions_total"] - before["pictag_executions_total"]
    batch = (after["pictag_inferences_total"] - before["pictag_inferences_total"]) / max(1, runs)
    rate, command = statistics.median(ours), statistics.median(theirs)
    cpu_ms = statistics.median(one.cpu_s / one.asked for one in results) * 1000
    return [
        Figure(
            name=f"{rig.model.title}: throughput with {CONNECTIONS} connections, "
            "relative to `pictag classify`",
            measured=rate / command * 100,
            target=75,
            unit="%",
            detail=f"{rate:.0f} images per second against {command:.0f}; "
            f"the load generator uses {cpu_ms:.2f} ms of CPU time per request",
            more=True,
        ),
        count_faults(
            f"{rig.model.title}: throughput, requests lost, answered twice, swapped or wrong", results
        ),
        Figure(
            name=f"{rig.model.title}: largest score difference from the library in any batch",
            measured=max(one.largest_difference for one in results) * 1e5,
            target=1,
            unit="× 10⁻⁵",
            detail=f"{sum(one.asked for one in results):,} answers, {batch:.2f} images per batch on average",
        ),
    ]


def measure_command(rig: Rig, count: int) -> float:
    """Images per second of ``pictag classify``, without its start time."""
    few_s, all_s = (_time_command(rig, number) for number in (FEW, FEW + count))
    return count / (all_s - few_s)


def _time_command(rig: Rig, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "names.txt"
        names.write_text(
            "".join(f"{rig.files[n % len(rig.files)]}\n" for n in range(count)), encoding="utf-8"
        )
        command = [sys.executable, "-m", "pictag", "classify", *rig.model.arguments, "--quiet"]
        started_s = time.perf_counter()
        subprocess.run(
            [*command, "--format", "jsonl", "--from-file", str(names)],
            check=True, stdout=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        return time.perf_counter() - started_s


def measure_latency(rig: Rig, *, rounds: int, count: int) -> list[Figure]:
    """Alternate between one client and the library, with the same images."""
    library_s: list[float] = []
    results = []
    bodies = [Path(path).read_bytes() for path in rig.files]
    with start_server(*rig.model.arguments) as server, rig.model.open() as classifier:
        warm_up(server, rig)
        for _ in range(rounds):
            results.append(
                run_load(server, Plan(port=server.port, images=rig.images, connections=1, count=count))
            )
            for number in range(count):
                body = bodies[number % len(bodies)]
                started_s = time.perf_counter()
                classifier(body, top_k=5)
                library_s.append(time.perf_counter() - started_s)
    server_ms = quantile_ms(results, 0.5, 200)
    library_ms = statistics.median(library_s) * 1000
    return [
        Figure(
            name=f"{rig.model.title}: one client, latency added to the library's call",
            measured=server_ms - library_ms,
            target=3,
            unit="ms",
            detail=f"medians: {server_ms:.2f} ms over HTTP, {library_ms:.2f} ms in the library",
        ),
        count_faults(
            f"{rig.model.title}: one client, requests lost, answered twice, swapped or wrong", results
        ),
    ]


def warm_up(server: Server, rig: Rig, count: int = 100) -> LoadResult:
    """Send requests that are not measured."""
    return run_load(server, Plan(port=server.port, images=rig.images, connections=8, count=count))


def measure_peak(server: Server, rig: Rig, *, duration_s: float) -> LoadResult:
    """Measure the maximum rate."""
    plan = Plan(port=server.port, images=rig.images, connections=CONNECTIONS, duration_s=duration_s)
    return run_load(server, plan)
