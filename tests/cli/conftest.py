"""A model that names colours, and a function that runs the command line in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tinymodel import make_tiny_model

Pictag = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model with the labels red, green and blue."""
    return str(make_tiny_model(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture
def pictag(tmp_path: Path) -> Pictag:
    """Run the real program in ``tmp_path``; arguments may be bytes."""

    def run(
        *arguments: str | bytes, stdin: bytes = b"", **environ: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "pictag", *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, **environ},
            timeout=60,
            check=False,
        )

    return run
