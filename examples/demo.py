"""What ``make demo`` shows: real photographs, the embedded model, no network.

The photographs come with scikit-image (``pip install 'pictag[demo]'``): a cat, a cup of coffee, a rocket.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg")

WHAT_NEXT = """
Your own images, with the same model (200 classes, no download):
    .venv/bin/pictag classify PHOTO-OR-FOLDER --model embedded

With the default model (1,000 classes, far more accurate; downloads 350 MB once):
    .venv/bin/pictag classify PHOTO-OR-FOLDER

In Python:
    from pictag import pipeline
    classifier = pipeline("image-classification", model="embedded")
    classifier("photo.jpg", top_k=3)
"""


def find_photographs() -> Path:
    # Only where its files are: importing scikit-image itself would cost a second.
    package = importlib.util.find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        sys.exit("The demo's photographs come with scikit-image: pip install 'pictag[demo]'")
    return Path(package.submodule_search_locations[0]) / "data"


def main() -> int:
    words = ["classify", *PHOTOGRAPHS, "--model", "embedded", "--top-k", "3"]
    print(f"$ pictag {' '.join(words)}\n", flush=True)
    command = [sys.executable, "-m", "pictag", *words, "--format", "table"]
    done = subprocess.run(command, cwd=find_photographs(), check=False)
    print(WHAT_NEXT)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
