"""The server as a process, what can be seen of it from outside, and volleys of requests at it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import ROOT
from benchmarks.open_loop import DOOR_CLOSED, LEFT, LOST, Plan, write_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

START_S = 60.0
SAMPLE_S = 0.2


class Server:
    """A server that runs, in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    @property
    def rss_mb(self) -> float:
        """Memory that it holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s*(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    @property
    def descriptors(self) -> int:
        """Files and sockets that it has open."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def ask(self, path: str) -> bytes:
        """A GET on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def count_tasks(self) -> int:
        """asyncio's tasks in a server with a window."""
        tasks: int = json.loads(self.ask("/-/tasks"))["tasks"]
        return tasks

    def metrics(self) -> dict[str, float]:
        """The server's counts, summed over all labels."""
        sums: dict[str, float] = {}
        for line in self.ask("/metrics").decode().splitlines():
            if not line.startswith("#"):
                name, value = line.partition("{")[0].partition(" ")[0], line.rpartition(" ")[2]
                sums[name] = sums.get(name, 0.0) + float(value)
        return sums


@contextlib.contextmanager
def start_server(*arguments: str, leak_bytes: int | None = None) -> Iterator[Server]:
    """``pictag serve`` on a free port, gone on the way out; with a window where ``leak_bytes`` is given."""
    program = ["-m", "pictag"]
    if leak_bytes is not None:
        program = ["-m", "benchmarks.programs.watched_server", "--leak-bytes", str(leak_bytes)]
    command = [sys.executable, *program, "serve", "--port", "0", "--log-format", "json", *arguments]
    with tempfile.TemporaryFile("w+b") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)
        try:
            yield Server(process, _wait_for_port(process, Path(f"/proc/self/fd/{log.fileno()}")))
        finally:
            process.kill()
            process.wait(START_S)


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        found = re.search(rb'"url": ?"http://[^"]*:(\d+)"', log.read_bytes())
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise SystemExit(f"The server did not start: {log.read_bytes()[-2000:].decode(errors='replace')}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volley:
    """What became of the requests of one plan; ``memory`` are the server's, in MB, as time went by."""

    at_s: NDArray[np.float64]
    status: NDArray[np.int64]
    latency_s: NDArray[np.float64]
    wrong: Sequence[str]
    wrong_count: int
    doubled: int
    swapped: int
    largest_difference: float
    wall_s: float
    cpu_s: float
    memory: NDArray[np.float64]

    @property
    def asked(self) -> int:
        return len(self.status)

    def count(self, status: int) -> int:
        return int((self.status == status).sum())

    @property
    def answered(self) -> int:
        """Requests that got an answer, whatever it was."""
        return int((self.status > 0).sum())

    @property
    def faults(self) -> dict[str, int]:
        """What must never be."""
        return {
            "lost": self.count(LOST),
            "twice": self.doubled,
            "swapped": self.swapped,
            "wrong": self.wrong_count,
        }

    @property
    def left(self) -> int:
        return self.count(LEFT)

    @property
    def door_closed(self) -> int:
        """Requests that found nobody listening: they were never accepted."""
        return self.count(DOOR_CLOSED)

    @property
    def rate(self) -> float:
        """Pictures classified a second."""
        return self.count(200) / self.wall_s

    def quantile_ms(self, share: float, status: int = 200) -> float:
        """Latency from the scheduled moment; NaN where no answer had this status."""
        found = self.latency_s[self.status == status]
        return float(np.quantile(found, share)) * 1000 if len(found) else float("nan")


def fire(server: Server, plan: Plan) -> Volley:
    """Carry a plan out in a process of its own, and watch the server's memory meanwhile."""
    memory: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.open_loop"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        is_over = threading.Event()
        watcher = threading.Thread(target=_watch_memory, args=(server, memory, is_over))
        watcher.start()
        try:
            written, _ = process.communicate(
                write_plan(plan), timeout=plan.duration_s + plan.patience_s + START_S
            )
        finally:
            process.kill()
            is_over.set()
            watcher.join()
    if process.returncode:
        raise SystemExit(f"The generator failed with {process.returncode}.")
    found = json.loads(written)
    columns = {name: np.array(found[name]) for name in ("at_s", "status", "latency_s")}
    return Volley(**{**found, **columns, "memory": np.array(memory)})


def _watch_memory(server: Server, memory: list[float], is_over: threading.Event) -> None:
    while not is_over.wait(SAMPLE_S):
        try:
            memory.append(server.rss_mb)
        except OSError:  # it has ended
            return


def drift_mb(memory: NDArray[np.float64]) -> float:
    """Growth after warm-up: the last tenth of the samples against the second tenth, by their medians."""
    tenth = max(1, len(memory) // 10)
    return float(np.median(memory[-tenth:]) - np.median(memory[tenth : 2 * tenth + 1]))
