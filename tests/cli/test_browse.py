"""pictag browse as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, killed at the end if it still runs."""
    command = [sys.executable, "-m", "pictag", "browse", "--library", str(folder / "gallery.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_browse_prints_an_address_and_stops_without_an_error(tmp_path: Path, number: int) -> None:
    with running(tmp_path) as process:
        address = read_address(process)
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as reply:
            assert reply.status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address.partition("?")[0], timeout=30)
        process.send_signal(number)
        assert process.wait(30) == 0
        rest, errors = process.communicate()
    assert rest == ""
    assert "Traceback" not in errors


def test_two_starts_have_different_tokens(tmp_path: Path) -> None:
    with running(tmp_path) as one, running(tmp_path) as two:
        tokens = {read_address(process).partition("token=")[2] for process in (one, two)}
    assert len(tokens) == 2
    assert all(len(token) >= 32 for token in tokens)


def test_a_file_that_is_no_library_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no library" * 1000)
    command = [sys.executable, "-m", "pictag", "browse", "--library", str(tmp_path / "notes.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ)
    assert done.returncode == 2
    assert "is not a library of pictag" in done.stderr
