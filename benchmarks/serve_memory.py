"""Memory growth over many requests, and a check that the same measurement detects a leak."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.load_result import LoadResult, count_faults, drift_mb
from benchmarks.serve_material import Model, prepare_bad, prepare_mixed
from benchmarks.serve_plan import Plan
from benchmarks.serve_process import count_traced_bytes, run_load, start_server
from benchmarks.serve_speed import CONNECTIONS, Rig, make_rig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.serve_process import Server

MAX_BODY_BYTES = 4 * 2**20
TARGET_MB = 10
PLANTED_MB = 50  # size of the artificial leak; two equal runs differ by up to 12 MB
BAD_STATUSES = (400, 413, 415, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """One long run; ``growth_mb`` is the memory growth after the warm-up."""

    result: LoadResult
    growth_mb: float


def run_long(model: Model, *, count: int, leak_bytes: int = 0) -> Endurance:
    """Send images of many sizes and 5% invalid bodies, and watch the server's resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        rig = make_rig(model, prepare_mixed(Path(folder)))
        with _start(rig, count=count, leak_bytes=leak_bytes, is_traced=False) as (server, plan):
            result = run_load(server, plan)
    return Endurance(result=result, growth_mb=drift_mb(result.memory))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A traced run; ``kept_bytes`` is the growth of allocated memory."""

    result: LoadResult
    kept_bytes: int


def run_traced(rig: Rig, *, warm_up: int, count: int, leak_bytes: int = 0) -> Kept:
    """A short run that counts the idle server's allocated bytes before and after."""
    with _start(rig, count=count, leak_bytes=leak_bytes, is_traced=True) as (server, plan):
        run_load(server, replace(plan, count=warm_up))
        before = count_traced_bytes(server)
        result = run_load(server, plan)
        return Kept(result=result, kept_bytes=count_traced_bytes(server) - before)


@contextlib.contextmanager
def _start(rig: Rig, *, count: int, leak_bytes: int, is_traced: bool) -> Iterator[tuple[Server, Plan]]:
    limit = ("--set", f"max_body_bytes={MAX_BODY_BYTES}")
    with (
        tempfile.TemporaryDirectory() as folder,
        start_server(*rig.model.arguments, *limit, leak_bytes=leak_bytes, is_traced=is_traced) as server,
    ):
        bad = prepare_bad(Path(folder), Path(rig.files[0]), max_body_bytes=MAX_BODY_BYTES)
        yield (
            server,
            Plan(
                port=server.port, images=rig.images, bad=bad, bad_share=0.05, count=count,
                connections=CONNECTIONS, duration_s=3600,
            ),
        )  # fmt: skip


def measure_memory(model: Model, *, count: int) -> list[Figure]:
    """The long run, and its first quarter again with an artificial leak, which must exceed the same limit.

    Memory grows more while a server warms up, so the quarter's growth without the leak is subtracted.
    """
    honest = run_long(model, count=count)
    fewer = max(1, count // 4)
    leak_bytes = PLANTED_MB * 2**20 // fewer
    leaking = run_long(model, count=fewer, leak_bytes=leak_bytes)
    quarter_mb = drift_mb(honest.result.memory[: max(1, len(honest.result.memory) // 4)])
    bad = honest.result.count(*BAD_STATUSES)
    return [
        Figure(
            name=f"{model.title}, {count:,} requests of mixed sizes: memory growth after the warm-up",
            measured=honest.growth_mb,
            target=TARGET_MB,
            unit="MB",
            detail=f"peak {honest.result.memory.max():.0f} MB; {bad / count:.1%} of the bodies were invalid",
        ),
        count_faults(
            f"{count:,} requests of mixed sizes: lost, answered twice, swapped or wrong",
            [honest.result, leaking.result],
        ),
        Figure(
            name="the same with an artificial leak: detected growth",
            measured=leaking.growth_mb - max(0.0, quarter_mb),
            target=TARGET_MB,
            unit="MB",
            detail=f"a quarter of the requests, {leak_bytes:,} bytes kept of each request "
            f"({PLANTED_MB} MB in total): {leaking.growth_mb:.1f} MB, "
            f"minus {quarter_mb:.1f} MB without the leak",
            more=True,
        ),
    ]
