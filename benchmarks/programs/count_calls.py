"""Counts pictag's functions that are called: for a warm call, in the server's workers, or by a whole process.

Usage: ``python -m benchmarks.programs.count_calls call|server|process IMAGE``. Prints one JSON object:
``calls``, ``parser_calls`` (inside the graph parser) and ``parses`` (how often a graph is parsed).
Comprehensions, generator expressions, lambdas and module bodies aren't counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pictag

if TYPE_CHECKING:
    from types import FrameType

SRC = str(Path(pictag.__file__).parent) + os.sep
PARSER = SRC + str(Path("models", "graph_file.py"))
MODEL = "embedded"


class Counter:
    """Counts calls in all threads that start after it was made, while ``is_counting``."""

    def __init__(self, *, thread_prefix: str = "") -> None:
        self.is_counting = False
        self.calls = self.parser_calls = self.parses = 0
        self._thread_prefix = thread_prefix
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if not self.is_counting or event != "call" or not code.co_filename.startswith(SRC):
            return
        if code.co_name.startswith("<") or not threading.current_thread().name.startswith(
            self._thread_prefix
        ):
            return
        if code.co_filename == PARSER:
            self.parser_calls += 1
            self.parses += code.co_name == "read_graph_file"
        else:
            self.calls += 1


def count_call(image: str) -> Counter:
    counter = Counter()
    with pictag.pipeline(model=MODEL) as classifier:
        classifier(image)
        classifier(image)
        counter.is_counting = True
        classifier(image)
        counter.is_counting = False
    return counter


def count_server(image: str) -> Counter:
    """Counts only in the workers' threads; the rest is the protocol."""
    from http.client import HTTPConnection

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from liveserver import run_server

    counter = Counter(thread_prefix="pictag-worker")
    body = Path(image).read_bytes()
    # With one worker, the count doesn't depend on which of several wakes first.
    with run_server(models=(MODEL,), log_requests=False, threads=1) as live:
        for number in range(3):
            time.sleep(0.1)  # until the worker waits again
            counter.is_counting = number == 2
            connection = HTTPConnection("127.0.0.1", live.port)
            connection.request("POST", "/", body=body)
            response = connection.getresponse()
            response.read()
            connection.close()
            assert response.status == 200, response.status
        time.sleep(0.1)
        counter.is_counting = False
    return counter


def count_process(image: str) -> Counter:
    sys.argv = ["pictag", "classify", image, "--model", MODEL]
    counter = Counter()
    counter.is_counting = True
    from pictag.cli import main

    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.suppress(SystemExit),
    ):
        main()
    counter.is_counting = False
    return counter


if __name__ == "__main__":
    what, path = sys.argv[1:]
    found = {"call": count_call, "server": count_server, "process": count_process}[what](path)
    sys.setprofile(None)
    print(json.dumps({"calls": found.calls, "parser_calls": found.parser_calls, "parses": found.parses}))
