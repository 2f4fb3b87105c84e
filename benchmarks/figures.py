"""Measure processes, and describe a figure with its target."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
MOBILENET_V2 = SHARED / "models" / "mobilenet_v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the benchmarks run: ``quick`` only checks that they work, ``save`` writes the results to a file.

    If ``races`` are named, `benchmarks.speed` runs only these; the newest results keep the others.
    """

    quick: bool = False
    save: bool = False
    races: tuple[str, ...] = ()
    base: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Wall time and peak resident memory of one process."""

    wall_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure; ``target`` is the maximum, or the minimum if ``more`` is better."""

    name: str
    measured: float
    target: float
    unit: str
    detail: str = ""
    more: bool = False

    @property
    def is_reached(self) -> bool:
        return self.measured >= self.target if self.more else self.measured <= self.target


def measure_process(command: Sequence[str]) -> Cost:
    """Run a command without its output; it must succeed."""
    start = time.perf_counter()
    # An installed package has its bytecode.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=env
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}: {errors.decode(errors='replace')}")
    return Cost(wall_s=wall_s, peak_mb=usage.ru_maxrss / 1024)


def compare_processes(commands: dict[str, Sequence[str]], *, rounds: int) -> dict[str, Cost]:
    """The median cost of each command; they alternate so that a busy moment affects all equally."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for command in commands.values():
        measure_process(command)  # the first start reads files that are cached afterwards
    for _ in range(rounds):
        for name, command in commands.items():
            costs[name].append(measure_process(command))
    return {
        name: Cost(
            wall_s=statistics.median(c.wall_s for c in found),
            peak_mb=statistics.median(c.peak_mb for c in found),
        )
        for name, found in costs.items()
    }


def require_shared() -> bool:
    if MOBILENET_V2.is_dir():
        return True
    print("  skipped: needs the folder ../shared next to the project (models and photographs)")
    return False


def print_progress(text: str) -> None:
    print(f"  … {text}", file=sys.stderr, flush=True)
