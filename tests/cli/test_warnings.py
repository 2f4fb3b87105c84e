"""What pictag had to assume is said once on stderr."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictag import pipeline
from pictag.errors import PictagWarning

Pictag = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder of float images beyond 0…1."""
    (tmp_path / "scans").mkdir()
    for number in range(3):
        values = np.linspace(-number - 1, 1000, 64, dtype=np.float32).reshape(8, 8)
        Image.fromarray(values).save(tmp_path / "scans" / f"{number}.tif")
    return tmp_path / "scans"


def test_an_assumption_is_said_once_and_not_with_quiet(pictag: Pictag, tiny: str, scans: Path) -> None:
    done = pictag("classify", "scans", "-m", tiny)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 3
    lines = done.stderr.decode().splitlines()
    assert [line[:44] for line in lines] == ["pictag: A single-channel image was stretched"]
    assert pictag("classify", "scans", "-m", tiny, "--quiet").stderr == b""


def test_the_library_warns_as_python_does(tiny: str, scans: Path) -> None:
    with pipeline(model=tiny) as classifier, pytest.warns(PictagWarning, match="stretched") as caught:
        classifier(sorted(scans.iterdir()))
    assert {str(warning.message)[:22] for warning in caught} == {"A single-channel image"}
