"""Sidecars and programs for the tests of metadata."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

PACKAGES = {
    "exiftool": "libimage-exiftool-perl",
    "exiv2": "exiv2",
    "exempi": "exempi",
    "darktable-cli": "darktable",
}
RunProgram = Callable[[str, Sequence[str]], str]


@pytest.fixture
def run_program() -> RunProgram:
    """Run an external program and return what it prints; the test is skipped where it is missing."""

    def run(program: str, arguments: Sequence[str]) -> str:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt-get install {PACKAGES[program]}")
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG without metadata."""
    path = tmp_path / "a.jpg"
    Image.radial_gradient("L").convert("RGB").save(path)
    return path
