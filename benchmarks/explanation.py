"""Explanations: whether the strongest place of a map is in the photograph that the label belongs to.

The grid pointing game (Böhle et al. 2021, https://arxiv.org/abs/2104.00032): four photographs of different
classes make a 2×2 grid, and one of their labels is explained. A map that ignores the label is right in a
quarter of the grids.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.figures import SHARED, Figure, Options, print_progress, require_shared
from pictag import pipeline
from pictag.errors import MissingExtra, ModelNotFound

if TYPE_CHECKING:
    from pathlib import Path

    from pictag.pipelines import ImageClassificationPipeline
    from pictag.pipelines.score_map import Method

MODEL = "efficientnet-lite0"
TARGETS: dict[Method, float] = {"auto": 0.85, "occlusion": 0.70}
GRIDS, SIDE = 60, 224  # pixels of each photograph
LOWEST_SCORE = 0.5  # of a photograph alone: the label of another can't be explained in a grid


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    try:
        classifier = pipeline(model=MODEL, crop="whole")
    except (MissingExtra, ModelNotFound) as error:
        print_progress(f"{MODEL} is left out: {error}")
        return []
    with classifier:
        photos = find_recognised(classifier)
        rng = random.Random(20261129)
        count = 6 if options.quick else GRIDS
        grids = [(rng.sample(photos, 4), rng.randrange(4)) for _ in range(count)]
        return [measure(classifier, grids, len(photos), method) for method in TARGETS]


def find_recognised(classifier: ImageClassificationPipeline[Any]) -> list[tuple[Path, int]]:
    """The photographs whose own class is the best label, with the index of the label."""
    paths = sorted((SHARED / "images" / "imagenet").iterdir())
    best = [prediction.labels[0] for prediction in classifier.predict(paths)]
    return [
        (path, label.index)
        for path, label in zip(paths, best, strict=True)
        if label.index == int(path.name[:4]) and label.score >= LOWEST_SCORE
    ]


def measure(
    classifier: ImageClassificationPipeline[Any],
    grids: list[tuple[list[tuple[Path, int]], int]],
    photos: int,
    method: Method,
) -> Figure:
    hits, begun = 0, time.process_time()
    for four, place in grids:
        values = classifier.explain(make_grid([path for path, _ in four]), four[place][1], method=method)
        row, column = np.unravel_index(np.nanargmax(values), values.shape)
        hits += int(row >= SIDE) * 2 + int(column >= SIDE) == place
    seconds = (time.process_time() - begun) / len(grids)
    name = "class activation maps" if method == "auto" else method
    return Figure(
        name=f"explanation, {MODEL}, {name}: share of grids in which the maximum is in the right photograph",
        measured=hits / len(grids), target=TARGETS[method], unit="", more=True,
        detail=f"{hits} of {len(grids)} grids of {photos} photographs; {seconds:.2f} s of core time per grid",
    )  # fmt: skip


def make_grid(paths: list[Path]) -> Image.Image:
    """Two rows of two photographs, each cropped to a square."""
    grid = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            photo = image.convert("RGB")
        edge = min(photo.size)
        left, top = (photo.width - edge) // 2, (photo.height - edge) // 2
        square = photo.crop((left, top, left + edge, top + edge)).resize((SIDE, SIDE))
        grid.paste(square, (number % 2 * SIDE, number // 2 * SIDE))
    return grid
