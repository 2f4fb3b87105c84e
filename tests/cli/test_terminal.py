"""Stdout and stderr on one terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinymodel import make_image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")


def run_on_terminal(
    *arguments: str,
    cwd: Path,
    columns: int = 60,
    stdout_too: bool = True,
    environ: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Run pictag with a terminal of its own; returns the exit status and the terminal's output."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pictag", *arguments],
        cwd=cwd,
        stdin=slave,
        stdout=slave if stdout_too else subprocess.DEVNULL,
        stderr=slave,
        env={**clean, "TERM": "xterm-256color", **(environ or {})},
    )
    os.close(slave)
    sent = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # Linux: the last writer has closed
            break
        if not block:
            break
        sent += block
    os.close(master)
    return process.wait(timeout=30), sent.decode()


def render(sent: str) -> list[str]:
    """The lines on the screen at the end, from the terminal features that rich and pictag use."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", sent):
        if part == "\n":
            row, column = row + 1, 0
            lines.extend([""] * (row + 1 - len(lines)))
        elif part == "\r":
            column = 0
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b"):
            assert part[-1] == "m" or part in ("\x1b[?25l", "\x1b[?25h"), f"unexpected {part!r}"
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
            column += 1
    return lines


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(30):
        make_image(tmp_path / "images" / f"{number}.png", ("red", "green", "blue")[number % 3])
    (tmp_path / "images" / "9.png").write_text("no image")
    return tmp_path


def test_table_and_progress_share_a_terminal_without_garbling_it(images: Path, tiny: str) -> None:
    status, sent = run_on_terminal("classify", "images", "--model", tiny, "-k", "1", cwd=images)
    assert status == 1
    assert "Loading the model" in sent
    assert re.search(r"\d+ of 30 images · [\d.]+/s", sent)
    lines = render(sent)
    assert not any("Loading" in line or "/s ·" in line for line in lines)
    names = [line for line in lines if line.startswith("images/")]
    assert names == [f"images/{number}.png" for number in range(30)]
    for number in range(30):
        row = lines[lines.index(f"images/{number}.png") + 1]
        if number == 9:
            assert row.startswith("  NotAnImage: ")
        else:
            assert re.fullmatch(
                rf"  {('red', 'green', 'blue')[number % 3]} +[▏▎▍▌▋▊▉█]+ +\d+\.\d%", row.rstrip()
            )
    assert re.fullmatch(r"pictag: 30 images in [\d.]+ s \([\d.,]+/s\), 1 failed\.", lines[-2])


def test_no_color_turns_colours_off(images: Path, tiny: str) -> None:
    coloured = run_on_terminal("classify", "images/1.png", "-m", tiny, cwd=images)[1]
    plain = run_on_terminal("classify", "images/1.png", "-m", tiny, cwd=images, environ={"NO_COLOR": "1"})[1]
    assert "\x1b[36m" in coloured
    assert "\x1b[36m" not in plain


def test_quiet_prints_nothing_on_a_terminal(images: Path, tiny: str) -> None:
    _, sent = run_on_terminal(
        "classify", "images", "-m", tiny, "--quiet", "-o", "run.jsonl", cwd=images, stdout_too=False
    )
    assert sent == ""


def test_a_run_into_a_file_shows_failures_and_a_summary(images: Path, tiny: str) -> None:
    status, sent = run_on_terminal(
        "classify", "images", "-m", tiny, "-o", "run.jsonl", cwd=images, columns=100, stdout_too=False
    )
    lines = render(sent)
    assert status == 1
    assert any(line.startswith("pictag: images/9.png: ") for line in lines)
    assert lines[-2].endswith("1 failed. Results: run.jsonl")


def test_an_image_cannot_be_read_from_a_terminal(images: Path, tiny: str) -> None:
    status, sent = run_on_terminal("classify", "-", "-m", tiny, cwd=images)
    assert status == 2
    assert "Pipe an image" in sent
