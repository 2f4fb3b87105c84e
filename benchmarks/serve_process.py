"""The server as a process: start and observe it, and put load on it."""

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
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import ROOT
from benchmarks.load_result import make_load_result
from benchmarks.serve_plan import write_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.load_result import LoadResult
    from benchmarks.serve_plan import Plan

START_S = 60.0
SAMPLE_S = 0.2
LOOKS, LOOK_S = 20, 0.05  # together a second


class Server:
    """A running server process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    @property
    def rss_mb(self) -> float:
        """Current resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s*(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    @property
    def descriptors(self) -> int:
        """Number of open files and sockets."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def ask(self, path: str) -> bytes:
        """Send a GET request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def look_inside(self) -> dict[str, int]:
        """Internal counts, from a server started by `benchmarks.programs.watched_server`."""
        found: dict[str, int] = json.loads(self.ask("/-/tasks"))
        return found

    def metrics(self) -> dict[str, float]:
        """The server's metrics, summed over all labels."""
        sums: dict[str, float] = {}
        for line in self.ask("/metrics").decode().splitlines():
            if not line.startswith("#"):
                name, value = line.partition("{")[0].partition(" ")[0], line.rpartition(" ")[2]
                sums[name] = sums.get(name, 0.0) + float(value)
        return sums


@contextlib.contextmanager
def start_server(*arguments: str, leak_bytes: int | None = None, is_traced: bool = False) -> Iterator[Server]:
    """Run ``pictag serve`` on a free port; with ``leak_bytes``, as a `watched_server`.

    With ``is_traced`` it also counts its allocated bytes, which makes it slower.
    """
    program = ["-m", "pictag"]
    if leak_bytes is not None:
        program = ["-m", "benchmarks.programs.watched_server", "--leak-bytes", str(leak_bytes)]
        program += ["--trace"] if is_traced else []
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


def take_stock(server: Server) -> Counter[str]:
    """The number of tasks and descriptors of an idle server.

    Each observation needs a connection too, and closed connections linger for a moment, so the minimum is
    taken until it doesn't decrease for a second.
    """
    least = _look(server)
    while (seen := least & _look(server)) != least:
        least = seen
    return least


def _look(server: Server) -> Counter[str]:
    tasks = server.look_inside()["tasks"]
    descriptors = []
    for _ in range(LOOKS):
        descriptors.append(server.descriptors)
        time.sleep(LOOK_S)
    return Counter(tasks=tasks, descriptors=min(descriptors))


def find_left_over(server: Server, stock: Counter[str], *, patience_s: float = 15.0) -> Counter[str]:
    """The increase since an earlier `take_stock`, after waiting for sockets that linger."""
    until = time.monotonic() + patience_s
    while (left := take_stock(server) - stock) and time.monotonic() < until:
        pass
    return left


def count_traced_bytes(server: Server) -> int:
    """Allocated bytes of an idle traced server: the minimum of several samples."""
    seen = []
    for _ in range(LOOKS // 2):
        seen.append(server.look_inside()["traced_bytes"])
        time.sleep(LOOK_S)
    return min(seen)


def run_load(server: Server, plan: Plan) -> LoadResult:
    """Run a plan in a separate process and sample the server's memory."""
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
        raise SystemExit(f"The load generator failed with {process.returncode}.")
    return make_load_result(plan, json.loads(written), memory)


def _watch_memory(server: Server, memory: list[float], is_over: threading.Event) -> None:
    while not is_over.wait(SAMPLE_S):
        try:
            memory.append(server.rss_mb)
        except OSError:  # it has ended
            return
