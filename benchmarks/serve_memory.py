"""A long day of a server: what it keeps of many requests, and that the same test sees a leak."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.serve_material import Model, prepare_bad, prepare_mixed
from benchmarks.serve_plan import Plan
from benchmarks.serve_process import count_traced_bytes, fire, start_server
from benchmarks.serve_speed import CONNECTIONS, Rig, make_rig
from benchmarks.serve_volley import Volley, count_faults, drift_mb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.serve_process import Server

MAX_BODY_BYTES = 4 * 2**20
BAR_MB = 10
PLANTED_MB = 50  # two runs of the same length differ by up to 12
BAD_STATUSES = (400, 413, 415, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """One long run: ``growth_mb`` is of memory after the warm-up."""

    volley: Volley
    growth_mb: float


def run_long(model: Model, *, count: int, leak_bytes: int = 0) -> Endurance:
    """Images of many sizes, and one body in twenty that is none; the server's resident memory meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        rig = make_rig(model, prepare_mixed(Path(folder)))
        with _start(rig, count=count, leak_bytes=leak_bytes, is_traced=False) as (server, plan):
            volley = fire(server, plan)
    return Endurance(volley=volley, growth_mb=drift_mb(volley.memory))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A traced run: ``kept_bytes`` are what was allocated after it and not before."""

    volley: Volley
    kept_bytes: int


def run_traced(rig: Rig, *, warm_up: int, count: int, leak_bytes: int = 0) -> Kept:
    """The same in seconds: the server's allocations are counted, to the byte, when it has nothing to do."""
    with _start(rig, count=count, leak_bytes=leak_bytes, is_traced=True) as (server, plan):
        fire(server, replace(plan, count=warm_up))
        before = count_traced_bytes(server)
        volley = fire(server, plan)
        return Kept(volley=volley, kept_bytes=count_traced_bytes(server) - before)


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
    """The long run; and its first quarter again with a leak planted, which has to be seen by the same bar.

    Memory grows more while a server warms up: what the quarter grew by without the leak is taken off.
    """
    honest = run_long(model, count=count)
    fewer = max(1, count // 4)
    leak_bytes = PLANTED_MB * 2**20 // fewer
    leaking = run_long(model, count=fewer, leak_bytes=leak_bytes)
    quarter_mb = drift_mb(honest.volley.memory[: max(1, len(honest.volley.memory) // 4)])
    bad = honest.volley.count(*BAD_STATUSES)
    return [
        Figure(
            name=f"{model.title}, {count:,} requests of mixed sizes: growth after the warm-up",
            measured=honest.growth_mb,
            bar=BAR_MB,
            unit="MB",
            detail=f"{honest.volley.memory.max():.0f} MB at most; {bad / count:.1%} of the bodies were bad",
        ),
        count_faults(
            f"{count:,} requests of mixed sizes: lost, twice, swapped or wrong",
            [honest.volley, leaking.volley],
        ),
        Figure(
            name="the same with a leak planted: growth that is seen",
            measured=leaking.growth_mb - max(0.0, quarter_mb),
            bar=BAR_MB,
            unit="MB",
            detail=f"a quarter of the requests, {leak_bytes:,} bytes of each kept ({PLANTED_MB} MB in all): "
            f"{leaking.growth_mb:.1f} MB, less the {quarter_mb:.1f} MB that it was without",
            more=True,
        ),
    ]
