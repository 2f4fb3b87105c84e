"""Programs of one job in alternating laps, each in a process of its own."""

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

# Threads that still spin after a lap would take part in the next one's.
PAUSE_S = 0.5
WHOLE_BATCHES = 8
ENOUGH_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A program and how it is called; ``weights`` says what it computes with (float or int8)."""

    name: str
    command: tuple[str, ...]
    weights: str
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far and how often each one runs."""

    lap_s: float
    laps: int
    least_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contestant did; ``rates`` are images a second, a lap each."""

    contestant: Contestant
    rates: tuple[float, ...]
    images: int
    peak_mb: float | None
    facts: dict[str, Any]
    labels: tuple[str, ...] = ()
    details: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


class Dropout(Exception):
    """A contestant that could not run; the others go on."""


def race(contestants: Sequence[Contestant], distance: Distance) -> tuple[list[Result], dict[str, str]]:
    """Let all run lap by lap in turns; gives the results, and why the others dropped out.

    A first lap, not counted, warms each one up and tells how many images make a lap of ``lap_s``.
    """
    running: dict[str, _Running] = {}
    dropouts: dict[str, str] = {}
    with ExitStack() as stack:
        for contestant in contestants:
            print_progress(f"warming up {contestant.name}")
            process = stack.enter_context(_Running(contestant))
            try:
                process.warm_up(distance)
            except Dropout as reason:
                dropouts[contestant.name] = str(reason)
            else:
                running[contestant.name] = process
        for lap in range(distance.laps):
            print_progress(f"lap {lap + 1} of {distance.laps}")
            for name, process in list(running.items()):
                try:
                    process.run_lap()
                except Dropout as reason:
                    dropouts[name] = str(reason)
                    del running[name]
        return [process.finish() for process in running.values()], dropouts


def _read_peak_mb(pid: int) -> float | None:
    """The most memory that a program has had so far; ``None`` where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    # What wait4() gives is no use here: a new program starts with the peak of the one that started it.
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else None


class _Running:
    def __init__(self, contestant: Contestant) -> None:
        self._contestant = contestant
        self._count = 0
        self._laps: list[dict[str, Any]] = []
        self._facts: dict[str, Any] = {}
        # Closed in __exit__: what the program says on stderr is wanted only when it ends too early.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see above
        self._process = subprocess.Popen(
            contestant.command,
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

    def warm_up(self, distance: Distance) -> None:
        self._facts = self._hear()
        self._ask(WHOLE_BATCHES)
        # The first run of a program is slower than those that follow, and a short one tells little.
        lap = self._ask(WHOLE_BATCHES)
        while lap["seconds"] < ENOUGH_S:
            lap = self._ask(4 * lap["images"])
        self._count = max(
            distance.least_images,
            math.ceil(distance.lap_s * lap["images"] / lap["seconds"] / WHOLE_BATCHES) * WHOLE_BATCHES,
        )

    def run_lap(self) -> None:
        time.sleep(PAUSE_S)
        self._laps.append(self._ask(self._count))

    def finish(self) -> Result:
        peak_mb = _read_peak_mb(self._process.pid)
        self._process.communicate()
        last = self._laps[-1]
        return Result(
            contestant=self._contestant,
            rates=tuple(lap["images"] / lap["seconds"] for lap in self._laps),
            images=sum(lap["images"] for lap in self._laps),
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
            raise Dropout(self._last_words()) from None
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                message: dict[str, Any] = json.loads(line)
                return message
        raise Dropout(self._last_words())

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return (lines or [f"ended with {self._process.returncode}"])[-1]
