"""Record timm's pixel values for tests/preprocess/test_goldens.py.

timm needs torchvision, which `make conformance` does not install: run this in an environment that has both,
with src/ on PYTHONPATH. The numbers are those of timm's evaluation transforms on Pillow images.
"""

from __future__ import annotations

import json
import random
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests")]

import timm.data  # noqa: E402 - behind the path

from preprocess.drawing import draw_images, sample  # noqa: E402 - behind the path

TARGET = HERE.parent / "tests" / "preprocess" / "goldens" / "timm.json"
DRAWN = 18


def draw_configuration(rng: random.Random) -> dict[str, Any]:
    side = rng.choice([16, 31, 64, 97])
    drawn: dict[str, Any] = {
        "input_size": [3, side, rng.choice([side, side, side + 13])],
        "crop_mode": rng.choice(["center", "squash", "border"]),
        "interpolation": rng.choice(["bicubic", "bilinear", "nearest", "lanczos", "box", "hamming"]),
        "mean": rng.choice([[0.5], [0.485, 0.456, 0.406], [0.48145466, 0.4578275, 0.40821073]]),
        "std": [round(rng.uniform(0.1, 0.5), 3) for _ in range(3)],
    }
    if rng.random() < 0.8:
        drawn["crop_pct"] = rng.choice([0.875, 0.9, 0.95, 1.0, 0.77])
    return drawn


def record(configuration: dict[str, Any]) -> dict[str, Any]:
    resolved = timm.data.resolve_data_config(configuration, model=None)
    transform = timm.data.create_transform(**resolved, is_training=False)
    results = {}
    for name, image in draw_images().items():
        try:
            results[name] = sample(transform(image).numpy())
        except ValueError:
            continue  # resized to nothing
    return {"configuration": configuration, "results": results}


def main() -> None:
    rng = random.Random("timm")
    goldens = {
        "versions": {name: version(name) for name in ("timm", "torchvision", "pillow")},
        "pretrained_cfg": [
            record(cfg) for cfg in [{"crop_mode": "center"}, *(draw_configuration(rng) for _ in range(DRAWN))]
        ],
    }
    text = json.dumps(goldens, separators=(",", ":")).replace('{"configuration"', '\n{"configuration"')
    TARGET.write_text(text + "\n", encoding="utf-8")
    print(f"{TARGET}: {len(text)} characters")


if __name__ == "__main__":
    main()
