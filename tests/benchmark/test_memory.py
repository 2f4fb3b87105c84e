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


def test_allocated_memory_is_counted() -> None:
    assert 90e6 < peak_after(100_000_000) - peak_after(0) < 130e6


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's getrusage is inherited")
def test_the_memory_of_the_parent_is_not_counted() -> None:
    ballast = bytearray(300_000_000)
    assert peak_after(0) < 250e6
    assert ballast


def test_getrusage_is_used_on_systems_without_proc(tmp_path: Path) -> None:
    peak = read_peak_memory(status=tmp_path / "missing")
    assert peak is None or 10e6 < peak < 1e12
