"""Measure the lowest cosine of near duplicates, and write it into src/pictag/similarity/cuts.json.

``python -m benchmarks.near_cuts`` compares different images of Tiny ImageNet; the benchmark ``gallery`` shows
how many changed copies of photographs are found with the cuts.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import ROOT, SHARED
from pictag import pipeline
from pictag.errors import MissingExtra, ModelNotFound
from pictag.similarity import normalize
from pictag.similarity.cuts import PATH

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODELS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "embedded")
IMAGES = 6000
# Of all pairs of different images, for a library of 10,000 images with 50 million pairs. A few of the pairs
# that are counted are real duplicates.
MAX_NEAR = 5e-7
_STEPS = np.arange(0.70, 0.995, 0.01).round(2)


def list_tiny_images(count: int) -> list[bytes]:
    """So many JPEG files of Tiny ImageNet, the same ones each time, of all classes."""
    sys.path.insert(0, str(ROOT / "training"))
    from data import iterate_archive

    images = [image for _, image in iterate_archive(SHARED / "datasets" / "tiny-imagenet-train-0.tar.xz")]
    return [images[place] for place in np.random.default_rng(0).permutation(len(images))[:count]]


def embed(model: str, images: list[bytes]) -> NDArray[np.float32]:
    """The embeddings of images, as a library stores them."""
    with pipeline(model=model, embeddings=True) as classifier:
        return normalize(classifier.embed(images).astype(np.float16))


def choose_cut(vectors: NDArray[np.float32]) -> tuple[float, int]:
    """The lowest cut at which few enough pairs are near, and how many those are."""
    counts = np.zeros(len(_STEPS), np.int64)
    for start in range(0, len(vectors), 1000):
        products = np.triu(vectors[start : start + 1000] @ vectors[start:].T, k=1)
        counts += [int((products >= step).sum()) for step in _STEPS]
    place = int(np.argmax(counts <= MAX_NEAR * len(vectors) * (len(vectors) - 1) / 2))
    return float(_STEPS[place]), int(counts[place])


def main() -> None:
    content = json.loads(PATH.read_text(encoding="utf-8"))
    images = list_tiny_images(IMAGES)
    for name in MODELS:
        try:
            cut, near = choose_cut(embed(name, images))
        except (MissingExtra, ModelNotFound) as error:
            print(error)
            continue
        content[name] = {
            "cosine": cut,
            "how": f"{near} of {IMAGES * (IMAGES - 1) // 2:,} pairs of different images of Tiny ImageNet are "
            "near (benchmarks/near_cuts.py)",
        }
        print(name, content[name])
    ordered = dict(sorted(content.items(), key=lambda item: (item[0] == "other models", item[0])))
    PATH.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
