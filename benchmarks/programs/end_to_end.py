"""pictag end to end: ``classifier.stream(files)``. Arguments: images, model, options as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.programs.runs import answer_runs
from pictag import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def main(images: str, model: str, options: str) -> None:
    with pipeline("image-classification", model=model, **json.loads(options)) as classifier:

        def classify(files: Iterator[str]) -> Iterable[str]:
            for prediction in classifier.stream(files):
                assert prediction.error is None, prediction
                yield prediction.labels[0].label

        answer_runs(
            classify,
            images=Path(images),
            engine=classifier.engine.name,
            weights=classifier.model.weights.name,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
