from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pictag.benchmark.memory import read_peak_memory

PROGRAM = "from pictag.benchmark.memory import read_peak_memory; b = bytearray({}); print(read_peak_memory())"


def peak_after(count: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(count)], capture_output=True, text=True, timeout=30, check=True
    )
    return int(done.stdout)


def test_memory_that_was_held_counts() -> None:
    assert 90e6 < peak_after(100_000_000) - peak_after(0) < 130e6


@pytest.mark.skipif(sys.platform != "linux", reason="the quirk of Linux's getrusage")
def test_what_the_parent_held_does_not_count() -> None:
    ballast = bytearray(300_000_000)
    assert peak_after(0) < 250e6
    assert ballast


def test_where_there_is_no_status_the_system_is_asked_another_way(tmp_path: Path) -> None:
    peak = read_peak_memory(status=tmp_path / "missing")
    assert peak is None or 10e6 < peak < 1e12
