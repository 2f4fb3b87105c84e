"""Measure several systems in alternating runs, each in its own process."""

from __future__ import annotations

import json
import math
import re
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import ROOT, print_progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

# Threads may still spin after a run and would slow the next system.
PAUSE_S = 0.5
WHOLE_BATCHES = 8
MIN_RUN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A program and its command line; ``weights`` is float, int8, dynamic int8 or bf16."""

    name: str
    command: tuple[str, ...]
    weights: str
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Length and number of the runs of each system."""

    run_s: float
    runs: int
    min_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one system did; ``rates`` has the images per second of each run."""

    system: System
    rates: tuple[float, ...]
    images: int
    peak_mb: float | None
    facts: dict[str, Any]
    labels: tuple[str, ...] = ()
    details: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


class SystemFailed(Exception):
    """A system could not run; the others continue."""


def race(systems: Sequence[System], schedule: Schedule) -> tuple[list[Result], dict[str, str]]:
    """Run all systems in turns; returns the results, and the reason for each system that failed.

    A first run that is not counted warms each system up and determines how many images take ``run_s``.
    """
    running: dict[str, _Running] = {}
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        for system in systems:
            print_progress(f"warming up {system.name}")
            process = stack.enter_context(_Running(system))
            try:
                process.warm_up(schedule)
            except SystemFailed as reason:
                failures[system.name] = str(reason)
            else:
                running[system.name] = process
        for number in range(schedule.runs):
            print_progress(f"run {number + 1} of {schedule.runs}")
            for name, process in list(running.items()):
                try:
                    process.run()
                except SystemFailed as reason:
                    failures[name] = str(reason)
                    del running[name]
        return [process.finish() for process in running.values()], failures


def _read_peak_mb(pid: int) -> float | None:
    """The peak memory of a process so far; ``None`` if the system does not report it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    # wait4() is unsuitable: a new process starts with the peak of its parent.
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else None


class _Running:
    def __init__(self, system: System) -> None:
        self._system = system
        self._count = 0
        self._runs: list[dict[str, Any]] = []
        self._facts: dict[str, Any] = {}
        # Closed in __exit__; read only if the program ends too early.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see above
        self._process = subprocess.Popen(
            system.command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=ROOT,
        )  # fmt: skip

    def __enter__(self) -> _Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def warm_up(self, schedule: Schedule) -> None:
        self._facts = self._receive()
        self._ask(WHOLE_BATCHES)
        # The first run is slower than later ones, and a very short run is too inaccurate.
        run = self._ask(WHOLE_BATCHES)
        while run["seconds"] < MIN_RUN_S:
            run = self._ask(4 * run["images"])
        self._count = max(
            schedule.min_images,
            math.ceil(schedule.run_s * run["images"] / run["seconds"] / WHOLE_BATCHES) * WHOLE_BATCHES,
        )

    def run(self) -> None:
        time.sleep(PAUSE_S)
        self._runs.append(self._ask(self._count))

    def finish(self) -> Result:
        peak_mb = _read_peak_mb(self._process.pid)
        self._process.communicate()
        last = self._runs[-1]
        return Result(
            system=self._system,
            rates=tuple(run["images"] / run["seconds"] for run in self._runs),
            images=sum(run["images"] for run in self._runs),
            peak_mb=peak_mb,
            facts=self._facts,
            labels=tuple(last.get("labels", ())),
            details={key: value for key, value in last.items() if isinstance(value, float)},
        )

    def _ask(self, count: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            print(count, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise SystemFailed(self._last_error()) from None
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                message: dict[str, Any] = json.loads(line)
                return message
        raise SystemFailed(self._last_error())

    def _last_error(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return (lines or [f"ended with {self._process.returncode}"])[-1]
