"""The embedded model: size, latency, and accuracy on photographs and held-out images."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import ROOT, SHARED, Figure, Options, require_shared

if TYPE_CHECKING:
    from pictag import ImageClassificationPipeline

RUNS = 300


def run(_options: Options) -> list[Figure]:
    from pictag import pipeline

    with pipeline(model="embedded", threads=1) as classifier:
        figures = [_measure_size(classifier), _measure_latency(classifier)]
    if require_shared():
        with pipeline(model="embedded") as classifier:
            figures += [_measure_photographs(classifier), *_measure_held_out(classifier)]
    return figures


def _measure_size(classifier: ImageClassificationPipeline[Any]) -> Figure:
    size = classifier.model.weights.stat().st_size
    return Figure(
        name="embedded: weights", measured=size / 1e6, target=6, unit="MB", detail=f"{size:,} bytes"
    )


def _measure_latency(classifier: ImageClassificationPipeline[Any]) -> Figure:
    pixels = np.zeros((1, 3, *(classifier.model.spec.output_size or (64, 64))), np.float32)
    times_ms = []
    for _ in range(RUNS):
        start = time.perf_counter()
        classifier.forward(pixels)
        times_ms.append((time.perf_counter() - start) * 1000)
    return Figure(
        name="embedded: inference of one image on one core",
        measured=float(np.median(times_ms)),
        target=10,
        unit="ms",
        detail=f"median of {RUNS}",
    )


def _measure_photographs(classifier: ImageClassificationPipeline[Any]) -> Figure:
    wordnet_ids = classifier.model.config_json["wordnet_ids"]
    classes = {
        path: wordnet_ids.index(path.name.split("_")[1])
        for path in sorted((SHARED / "images" / "imagenet").glob("*_n*.jpg"))
        if path.name.split("_")[1] in wordnet_ids
    }
    predictions = classifier.predict(list(classes), top_k=5)
    answers = [[label.index for label in prediction.labels] for prediction in predictions]
    pairs = list(zip(answers, classes.values(), strict=True))
    first = sum(answer[0] == right for answer, right in pairs) / len(pairs)
    return Figure(
        name="embedded: top-5 on full-size photographs of its classes",
        measured=sum(right in answer for answer, right in pairs) / len(pairs),
        target=0.65,
        unit="",
        detail=f"{len(pairs)} photographs, top-1 {first:.3f}",
        more=True,
    )


def _measure_held_out(classifier: ImageClassificationPipeline[Any]) -> list[Figure]:
    """Accuracy on the images that the training held out; its seed gives the same split."""
    sys.path.insert(0, str(ROOT / "training"))
    from calibrate import expected_calibration_error, reliability, softmax
    from data import ARCHIVES, iterate_archive, read_classes, split_images

    folder = SHARED / "datasets"
    index = {wordnet_id: place for place, wordnet_id in enumerate(read_classes(folder).wordnet_ids)}
    images = [entry for archive in sorted(folder.glob(ARCHIVES)) for entry in iterate_archive(archive)]
    labels = np.array([index[wordnet_id] for wordnet_id, _ in images], dtype=np.int64)
    held_out = split_images(labels).held_out
    labels = labels[held_out]
    parts = np.array_split(held_out, 20)
    logits = np.concatenate(
        [classifier.forward(classifier.preprocess([images[i][1] for i in part])) for part in parts]
    )
    order = np.argsort(-logits, axis=1)[:, :5]
    detail = f"{len(labels):,} images, used instead of the official validation set"
    return [
        Figure(
            name="embedded: top-1, held-out images",
            measured=float((order[:, 0] == labels).mean()),
            target=0.46,
            unit="",
            detail=detail,
            more=True,
        ),
        Figure(
            name="embedded: top-5, held-out images",
            measured=float((order == labels[:, None]).any(axis=1).mean()),
            target=0.72,
            unit="",
            detail=detail,
            more=True,
        ),
        Figure(
            name="embedded: expected calibration error, 15 bins",
            measured=expected_calibration_error(reliability(softmax(logits), labels)),
            target=0.04,
            unit="",
            detail="the temperature was fitted on the same images",
        ),
    ]
