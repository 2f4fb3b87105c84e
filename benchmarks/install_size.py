"""The disk space of an installation without extras, in a new environment."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.figures import ROOT, Figure, Options

TOOLS = ("pip", "setuptools", "wheel", "_distutils_hack", "pkg_resources")


def run(_options: Options) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        subprocess.run([python, "-m", "pip", "install", "-qqq", str(ROOT)], check=True)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        done = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True)
        packages = Path(done.stdout.strip())
        sizes = {
            entry.name: sum(f.stat().st_size for f in [entry, *entry.rglob("*")] if f.is_file())
            for entry in packages.iterdir()
            if not entry.name.startswith(TOOLS)
        }
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    return [
        Figure(
            name="core installation",
            measured=sum(sizes.values()) / 2**20,
            target=250,
            unit="MB",
            detail=", ".join(f"{name} {size / 2**20:.0f}" for name, size in largest),
        )
    ]
