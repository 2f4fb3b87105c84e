"""The server as a process, what can be seen of it from outside, and plans carried out against it."""

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
from benchmarks.serve_plan import write_plan
from benchmarks.serve_volley import make_volley

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.serve_plan import Plan
    from benchmarks.serve_volley import Volley

START_S = 60.0
SAMPLE_S = 0.2
LOOKS, LOOK_S = 20, 0.05  # together a second


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

    def look_inside(self) -> dict[str, int]:
        """What a server with a window shows: `benchmarks.programs.watched_server`."""
        found: dict[str, int] = json.loads(self.ask("/-/tasks"))
        return found

    def metrics(self) -> dict[str, float]:
        """The server's counts, summed over all labels."""
        sums: dict[str, float] = {}
        for line in self.ask("/metrics").decode().splitlines():
            if not line.startswith("#"):
                name, value = line.partition("{")[0].partition(" ")[0], line.rpartition(" ")[2]
                sums[name] = sums.get(name, 0.0) + float(value)
        return sums


@contextlib.contextmanager
def start_server(*arguments: str, leak_bytes: int | None = None, is_traced: bool = False) -> Iterator[Server]:
    """``pictag serve`` on a free port, gone on the way out; with a window where ``leak_bytes`` is given.

    A server that ``is_traced`` tells there how many bytes it has allocated, and is slower for it.
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
    """Tasks and descriptors of a server that has nothing to do.

    Each question is a connection too, which the server closes a moment after the answer, and so are clients
    that left a moment ago: what counts is the least of what is seen, until a second brings nothing less.
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
    """What there is more than `take_stock` found before: sockets may linger a while."""
    until = time.monotonic() + patience_s
    while (left := take_stock(server) - stock) and time.monotonic() < until:
        pass
    return left


def count_traced_bytes(server: Server) -> int:
    """Bytes that are allocated in a traced server which has nothing to do: the least of what is seen."""
    seen = []
    for _ in range(LOOKS // 2):
        seen.append(server.look_inside()["traced_bytes"])
        time.sleep(LOOK_S)
    return min(seen)


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
    return make_volley(plan, json.loads(written), memory)


def _watch_memory(server: Server, memory: list[float], is_over: threading.Event) -> None:
    while not is_over.wait(SAMPLE_S):
        try:
            memory.append(server.rss_mb)
        except OSError:  # it has ended
            return
