"""Nearly a thousand corrupt, unusual and hostile files: each gives an image or one of our errors, quickly.

They are read in a separate process, so that a crash, its memory, and output on file descriptor 2 are noticed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import pictag.errors

pytestmark = pytest.mark.slow

SECONDS_A_FILE = 5
LARGEST_MEMORY_BYTES = 10**9

READER = """
import json, sys, time, warnings
from pictag.benchmark.memory import read_peak_memory
from pictag.errors import InputError, PictagWarning
from pictag.images import make_source, read_image

warnings.filterwarnings("ignore", module=r"PIL\\.")  # as the interfaces do
warnings.simplefilter("ignore", PictagWarning)
for line in sys.stdin:
    path = json.loads(line)
    begun = time.monotonic()
    try:
        image = read_image(make_source(path)).rgb
        result = f"{image.mode} {image.width}x{image.height}"
        kind = "DecodedImage"
    except InputError as error:
        kind, result = type(error).__name__, str(error)
    seconds = time.monotonic() - begun
    print(json.dumps([path, kind, result, seconds, read_peak_memory()]), flush=True)
"""


@pytest.fixture(scope="module")
def files(shared: Path) -> list[Path]:
    return sorted(path for path in (shared / "images/malformed").rglob("*") if path.is_file())


@pytest.mark.shared
@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell how much memory was used")
def test_every_malformed_file_gives_an_image_or_a_decode_error(files: list[Path]) -> None:
    assert len(files) > 900
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", READER],
        input="".join(json.dumps(str(path)) + "\n" for path in files).encode(),
        capture_output=True,
        timeout=100,
        check=False,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    last = results[-1][0] if results else "none"
    assert done.stderr == b"", f"something was written on file descriptor 2; the last file read was {last}"
    assert done.returncode == 0, f"the process died; the last file that was read is {last}"
    assert [path for path, *_ in results] == [str(path) for path in files]
    for path, kind, result, seconds, memory in results:
        assert seconds < SECONDS_A_FILE, (path, kind, result)
        assert memory < LARGEST_MEMORY_BYTES, (path, kind, result)
        if kind == "DecodedImage":
            assert result.startswith("RGB "), (path, result)
        else:
            assert issubclass(getattr(pictag.errors, kind), pictag.errors.DecodeError), (path, kind, result)
            assert "\n" not in result, (path, result)
            assert len(result) < 600, (path, result)
    # Most are unusual but intact, and must not be rejected.
    assert Counter(kind for _, kind, *_ in results)["DecodedImage"] > 600
