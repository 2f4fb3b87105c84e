"""Labelled images and scores without files, for tests of what is measured from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pictag.evaluation import LabelledData, LabelledImage, ScoreCollector, ScoredImages, ScoredModel
from pictag.records import Failure, Prediction

COLOURS = ("red", "green", "blue")


def make_data(*labels: Sequence[str]) -> LabelledData:
    """One image for each entry, which has its labels."""
    images = tuple(
        LabelledImage(path=f"/data/{number}.png", name=f"{number}.png", labels=tuple(names))
        for number, names in enumerate(labels)
    )
    classes = tuple(sorted({name for image in images for name in image.labels}))
    return LabelledData(place=Path("/data"), split=None, classes=classes, images=images)


def score(
    data: LabelledData,
    scores: NDArray[np.floating[Any]] | Sequence[Sequence[float]],
    *,
    labels: Sequence[str] = COLOURS,
    exclusive: bool = True,
    thresholds: dict[str, float] | None = None,
    temperature: float = 1.0,
    failed: Sequence[int] = (),
    how: str | Path | None = None,
) -> ScoredImages:
    """The scores as a pipeline would give them; the images in ``failed`` fail."""
    model = ScoredModel(
        name="colours",
        labels=tuple(labels),
        exclusive=exclusive,
        thresholds=thresholds or {},
        temperature=temperature,
    )
    collector = ScoreCollector(data, model, how=how)
    for place, image in enumerate(data.images):
        failure = Failure(kind="CorruptImage", message=f"{image.name}: torn.") if place in failed else None
        row = None if failure else np.asarray(scores[place], np.float32)
        collector.write(Prediction(source=image.path, scores=row, error=failure))
    return collector.finish()


def draw_scored(n: int, *, factor: float = 1.0, seed: int = 0, exclusive: bool = True) -> ScoredImages:
    """Scores of three labels that are calibrated but for this factor on their logits."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, 3)) * 1.5
    if exclusive:
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = [(COLOURS[generator.choice(3, p=row)],) for row in shares]
        scores = np.exp(logits * factor) / np.exp(logits * factor).sum(axis=1, keepdims=True)
    else:
        drawn = generator.random((n, 3)) < 1 / (1 + np.exp(-logits))
        truth = [
            tuple(name for name, has in zip(COLOURS, row, strict=True) if has)  # type: ignore[misc]  # any number
            for row in drawn
        ]
        scores = 1 / (1 + np.exp(-logits * factor))
    return score(make_data(*truth), scores, exclusive=exclusive)
