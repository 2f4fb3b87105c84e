"""Time from process start to labels for one image, compared with ten hand-written lines."""

from __future__ import annotations

import sys

from benchmarks.figures import MOBILENET_V2, SHARED, Figure, Options, compare_processes, require_shared

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


def run(_options: Options) -> list[Figure]:
    if not require_shared():
        return []
    image, model = str(SHARED / "images" / "gallery" / "pytorch-hub_dog.jpg"), str(MOBILENET_V2)
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
