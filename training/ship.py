"""From a checkpoint to the folder that is shipped: calibrated, exported, evaluated, described.

`python training/ship.py CHECKPOINT --model FOLDER`. All figures come from the exported file, run on the
held-out images with the preparation that its own `preprocessor_config.json` states.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from augment import MEAN, STD
from calibrate import cross_fitted_error, expected_calibration_error, fit_temperature, reliability, softmax
from card import describe, write_readme
from checkpoint import load_averaged
from data import Classes, Images, Split, load_images, read_classes, split_images
from evaluate import (
    Preparation,
    class_accuracies,
    confusions,
    judge_photographs,
    measure_latency,
    open_session,
    predict,
    top_accuracy,
)
from export import build_model, write_model
from network import count_parameters

ROOT = Path(__file__).resolve().parent.parent
BILINEAR = 2
SIDE = 64


def write_json(content: Any, path: Path) -> None:
    """Write readable JSON, with one key per line and non-ASCII letters unescaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_configs(classes: Classes, side: int, shortest_edge: int, folder: Path) -> None:
    """`config.json` and `preprocessor_config.json` of the Hub's layout."""
    config = {
        "model_type": "pictag_embedded",
        "architectures": ["PictagEmbedded"],
        "problem_type": "single_label_classification",
        "image_size": side,
        "num_labels": len(classes.labels),
        "id2label": {str(i): label for i, label in enumerate(classes.labels)},
        "label2id": {label: i for i, label in enumerate(classes.labels)},
        "wordnet_ids": list(classes.wordnet_ids),
    }
    preparation = {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": shortest_edge},
        "resample": BILINEAR,
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }
    write_json(config, folder / "config.json")
    write_json(preparation, folder / "preprocessor_config.json")


def as_images(images: Images, indices: NDArray[np.int64]) -> Iterator[Image.Image]:
    """Decoded images as Pillow images."""
    return (Image.fromarray(images.pixels[index]) for index in indices)


def ship(
    checkpoint: Path,
    folder: Path,
    images: Images,
    split: Split,
    classes: Classes,
    *,
    side: int = SIDE,
    shortest_edge: int | None = None,
    status: str = "full run",
    hardware: str = "",
    photographs_folder: Path | None = None,
) -> dict[str, float]:
    """Write the model of `checkpoint` with all its files into `folder`; returns its figures."""
    network, content = load_averaged(checkpoint)
    write_configs(classes, side, shortest_edge or side, folder)
    preparation = Preparation.read(folder / "preprocessor_config.json")
    path = folder / "onnx" / "model.onnx"
    labels = images.labels[split.held_out]

    def run() -> NDArray[np.float32]:
        return predict(open_session(path), as_images(images, split.held_out), preparation)

    write_model(build_model(network, side), path)
    plain = run()
    temperature = fit_temperature(plain, labels)
    write_model(build_model(network, side, temperature), path)
    logits = run()
    bins = reliability(softmax(logits), labels)
    figures = {
        "top1": top_accuracy(logits, labels, 1),
        "top5": top_accuracy(logits, labels, 5),
        "ece": expected_calibration_error(bins),
        "ece_cross_fitted": cross_fitted_error(plain, labels),
        "ece_uncalibrated": expected_calibration_error(reliability(softmax(plain), labels)),
        "temperature": temperature,
        "latency_ms": measure_latency(path, side),
    }
    photographs = None
    if photographs_folder is not None:
        photographs = judge_photographs(
            photographs_folder, open_session(path), preparation, list(classes.wordnet_ids)
        )
    card = describe(
        figures=figures,
        classes=classes,
        per_class=class_accuracies(logits, labels, len(classes.labels)),
        mistakes=confusions(logits, labels, 40),
        bins=[asdict(b) for b in bins],
        photographs=photographs,
        model=path,
        parameters=count_parameters(network),
        content=content,
        counts={"train": len(split.train), "held_out": len(split.held_out)},
        status=status,
        hardware=hardware,
    )
    write_json(card, folder / "card.json")
    write_readme(card, folder / "README.md")
    print("  ".join(f"{key} {value:.4f}" for key, value in figures.items()), flush=True)
    return figures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Calibrate, export, evaluate and describe a trained network."
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="folder to write, in the Hub's layout")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "datasets")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "training" / "cache")
    parser.add_argument("--photographs", type=Path, default=ROOT.parent / "shared" / "images" / "imagenet")
    parser.add_argument("--side", type=int, default=SIDE, help="side of the square input")
    parser.add_argument(
        "--shortest-edge", type=int, help="images are scaled to this shorter edge before the crop"
    )
    parser.add_argument("--status", default="full run", help="recorded in the card, such as 'short run'")
    parser.add_argument("--hardware", default="", help="recorded in the card, such as '2 cores of …'")
    options = parser.parse_args(arguments)
    images = load_images(options.data, options.cache)
    split, classes = split_images(images.labels), read_classes(options.data)
    ship(
        options.checkpoint,
        options.model,
        images,
        split,
        classes,
        side=options.side,
        shortest_edge=options.shortest_edge,
        status=options.status,
        hardware=options.hardware,
        photographs_folder=options.photographs if options.photographs.is_dir() else None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
