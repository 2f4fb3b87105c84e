"""Limits of the system on threads and memory are named; the model isn't blamed for them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tinymodel import make_image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


def run_without_threads(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run pictag where a new thread never fits into the address space."""

    import resource  # Windows has none

    def forbid_threads() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (2**40, resource.RLIM_INFINITY))  # of each new thread
        resource.setrlimit(resource.RLIMIT_AS, (2**39, 2**39))

    return subprocess.run(
        [sys.executable, "-m", "pictag", *arguments],
        preexec_fn=forbid_threads,
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "engine",
    [
        "onnxruntime",
        pytest.param(
            "openvino",
            marks=pytest.mark.skipif(find_spec("openvino") is None, reason="pip install 'pictag[openvino]'"),
        ),
    ],
)
def test_a_limit_on_threads_is_not_called_an_invalid_model(tmp_path: Path, tiny: str, engine: str) -> None:
    make_image(tmp_path / "red.png")
    done = run_without_threads(
        "classify", "red.png", "--model", tiny, "--engine", engine, "--threads", "2", cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert "The system doesn't allow another thread. Use --threads 1, or raise the limit" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_one_image_needs_no_further_thread(tmp_path: Path, tiny: str) -> None:
    make_image(tmp_path / "red.png")
    done = run_without_threads("classify", "red.png", "--model", tiny, "--threads", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_several_images_name_the_limit_on_threads(tmp_path: Path, tiny: str) -> None:
    for name in ("red.png", "green.png"):
        make_image(tmp_path / name)
    done = run_without_threads("classify", ".", "--model", tiny, "--threads", "1", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("pictag: The system doesn't allow another thread.")
