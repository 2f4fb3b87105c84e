"""transformers on torch, in the environment of ``make conformance``.

Its pipeline over a list of files, as in its documentation for many images, with torch's default number of
threads. Arguments: images, model folder, batch size.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from benchmarks.programs.runs import answer_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def main(images: str, model: str, batch_size: str) -> None:
    transformers.logging.set_verbosity_error()
    # Uses the torchvision processor if torchvision is installed, otherwise the Pillow one.
    classifier: Any = transformers.pipeline("image-classification", model=model, device="cpu")

    def classify(files: Iterator[str]) -> Iterable[str]:
        for labels in classifier(list(files), top_k=1, batch_size=int(batch_size)):
            yield labels[0]["label"]

    answer_runs(
        classify,
        images=Path(images),
        processor=type(classifier.image_processor).__name__,
        threads=torch.get_num_threads(),
        versions={"transformers": transformers.__version__, "torch": torch.__version__},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
