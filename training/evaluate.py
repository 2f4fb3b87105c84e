"""Evaluates an exported model as it is used: images prepared with Pillow as its files say, in ONNX Runtime.

`python training/evaluate.py FOLDER --images ../shared/images/imagenet` measures the
accuracy on photographs named `INDEX_WNID_name.jpg` of the model's classes, and the time for one image on one
core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How images become arrays: shorter edge, central square, filter, mean and standard deviation."""

    shortest_edge: int
    crop: int
    resample: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, path: Path) -> Preparation:
        """From a `preprocessor_config.json`."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            shortest_edge=content["size"]["shortest_edge"],
            crop=content["crop_size"]["height"],
            resample=content["resample"],
            mean=tuple(content["image_mean"]),
            std=tuple(content["image_std"]),
        )

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """`pixel_values` of one image, [3, crop, crop]."""
        rgb = image.convert("RGB")
        short = min(rgb.size)
        width, height = (self.shortest_edge * edge // short for edge in rgb.size)
        if rgb.size != (width, height):
            rgb = rgb.resize((width, height), Image.Resampling(self.resample))
        left, top = (width - self.crop) // 2, (height - self.crop) // 2
        square = np.asarray(rgb, dtype=np.float32)[top : top + self.crop, left : left + self.crop]
        values = (square / 255 - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)


def open_session(model: Path, threads: int = 0) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU; 0 `threads` means all cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def batches(images: Iterable[Image.Image], preparation: Preparation) -> Iterator[NDArray[np.float32]]:
    """Arrays of up to `BATCH` prepared images."""
    prepared = (preparation.prepare(image) for image in images)
    while batch := list(islice(prepared, BATCH)):
        yield np.stack(batch)


def predict(
    session: ort.InferenceSession, images: Iterable[Image.Image], preparation: Preparation
) -> NDArray[np.float32]:
    """Logits of all images, [count, classes]."""
    return np.concatenate([session.run(None, {"pixel_values": b})[0] for b in batches(images, preparation)])


def top_accuracy(logits: NDArray[np.float32], labels: NDArray[np.int64], count: int) -> float:
    """How often the correct class is among the best `count`."""
    first = np.argsort(-logits, axis=1)[:, :count]
    return float((first == labels[:, None]).any(axis=1).mean())


def class_accuracies(logits: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> list[float]:
    """Top-1 accuracy of each class; 0 for a class without images."""
    right = logits.argmax(axis=1) == labels
    totals = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[right], minlength=classes)
    return [float(h / t) if t else 0.0 for h, t in zip(hits, totals, strict=True)]


def confusions(
    logits: NDArray[np.float32], labels: NDArray[np.int64], count: int
) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: (correct class, predicted class, how often)."""
    said = logits.argmax(axis=1)
    pairs = Counter((int(t), int(s)) for t, s in zip(labels, said, strict=True) if t != s)
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return [(true, other, times) for (true, other), times in ordered[:count]]


def measure_latency(model: Path, side: int, runs: int = 60) -> float:
    """Milliseconds for one image on one core, inference only: the median of `runs`."""
    session = open_session(model, threads=1)
    values = np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)
    times = []
    for _ in range(runs + 5):
        began = time.perf_counter()
        session.run(None, {"pixel_values": values})
        times.append(time.perf_counter() - began)
    return float(np.median(times[5:]) * 1000)


def judge_photographs(
    folder: Path, session: ort.InferenceSession, preparation: Preparation, wordnet_ids: list[str]
) -> Any:
    """Accuracy on the photographs whose class the model knows, and the rank of the correct class for each."""
    index = {wordnet_id: i for i, wordnet_id in enumerate(wordnet_ids)}
    paths = [path for path in sorted(folder.glob("*.jp*g")) if path.stem.split("_")[1] in index]
    if not paths:
        return None
    labels = np.array([index[path.stem.split("_")[1]] for path in paths])
    logits = predict(session, (Image.open(path) for path in paths), preparation)
    places = (logits > logits[np.arange(len(labels)), labels][:, None]).sum(axis=1) + 1
    return {
        "count": len(paths),
        "top1": top_accuracy(logits, labels, 1),
        "top5": top_accuracy(logits, labels, 5),
        "places": {path.stem: int(place) for path, place in zip(paths, places, strict=True)},
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Evaluate an exported model on photographs, and measure its latency."
    )
    default = ROOT / "src" / "pictag" / "models" / "embedded"
    parser.add_argument("folder", type=Path, nargs="?", default=default, help="a model in the Hub's layout")
    parser.add_argument("--images", type=Path, default=ROOT.parent / "shared" / "images" / "imagenet")
    options = parser.parse_args(arguments)
    preparation = Preparation.read(options.folder / "preprocessor_config.json")
    config = json.loads((options.folder / "config.json").read_text(encoding="utf-8"))
    model = options.folder / "onnx" / "model.onnx"
    judged = judge_photographs(options.images, open_session(model), preparation, config["wordnet_ids"])
    print(json.dumps(judged, indent=2))
    print(f"one image, one core: {measure_latency(model, preparation.crop):.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
