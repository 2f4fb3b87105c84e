"""The card of a shipped model: `card.json` for programs, and a README made from it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from data import Classes

DATA = {
    "name": "Tiny ImageNet, training set",
    "content": "100,000 images of 64×64 pixels, 500 of each of 200 classes of ImageNet",
    "terms": "ImageNet's terms of access: non-commercial research and education; not redistributed here",
}
METHOD = (
    "Residual network of dense 3×3 convolutions. Training: a random view of each image (crop, "
    "aspect ratio, flip, blur or sharpening, colours), CutMix on a fifth of them, smoothed "
    "labels; Muon for the convolutions, AdamW for the rest; the learning rate warms up, stays "
    "constant, and decays to zero; the image size grows over the epochs; the weights are a moving "
    "average. The temperature was fitted on the held-out images. Weights are stored "
    "as int8 with one scale per channel; arithmetic is in float32. The graph compresses each "
    "image as the data set's images were (JPEG, quality 75), and averages the image and its "
    "mirror image."
)
LIMITATIONS = (
    "It knows only 200 classes: people, scenes, text and most everyday things are not among them. "
    "Images of other things usually get low scores, but not always.",
    "It sees images at 64×64 pixels, and only their central square: small objects in large "
    "photographs are lost.",
    "It confuses classes that look alike at this size; card.json lists the most frequent confusions.",
    "ImageNet's images come from the web, mostly from North America and Europe, and its labels "
    "have the errors and biases of that collection.",
)
NOT_FOR = (
    "Decisions about people, or anything where a mistake can do harm: medicine, safety, "
    "surveillance, moderation.",
    "Fine distinctions (breeds, species, car models): use a full-size model.",
    "Commercial use, unless you have checked what the terms of the data mean for you.",
)


def describe(
    *,
    figures: dict[str, float],
    classes: Classes,
    per_class: list[float],
    mistakes: list[tuple[int, int, int]],
    bins: list[dict[str, Any]],
    photographs: Any,
    model: Path,
    parameters: int,
    content: dict[str, Any],
    counts: dict[str, int],
    status: str,
    hardware: str,
) -> dict[str, Any]:
    """The card: every figure is measured on the exported file."""
    rows = content["rows"]
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return {
        "name": "pictag-embedded",
        "revision": digest[:12],
        "status": status,
        "task": "image-classification",
        "licence": "Apache-2.0",
        "licence_note": "of the weights; the training images have their own terms, see data",
        "data": {**DATA, "learnt_from": counts["train"], "held_out": counts["held_out"]},
        "method": METHOD,
        "parameters": parameters,
        "files": {"onnx/model.onnx": {"sha256": digest, "bytes": model.stat().st_size}},
        "training": {
            "epochs": content["epoch"],
            "stages": [{"side": side, "epochs": count} for side, count in done_stages(rows)],
            "minutes": rows[-1]["minutes"],
            "hardware": hardware,
            "plan": {key: value for key, value in content["plan"].items() if key != "stages"},
        },
        "evaluation": {
            "on": f"the {counts['held_out']:,} held-out images, from the exported file",
            **{key: round(value, 4) for key, value in figures.items() if key != "latency_ms"},
            "held_out_per_class": counts["held_out"] // len(classes.labels),
            "photographs": photographs,
        },
        "latency": {"one_image_one_core_ms": round(figures["latency_ms"], 1), "hardware": hardware},
        "reliability": [{k: round(v, 4) for k, v in b.items()} for b in bins],
        "per_class": {w: round(a, 3) for w, a in zip(classes.wordnet_ids, per_class, strict=True)},
        "confusions": [
            {"class": classes.labels[true], "said": classes.labels[said], "times": times}
            for true, said, times in mistakes
        ],
        "limitations": LIMITATIONS,
        "not_for": NOT_FOR,
    }


def done_stages(rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """The stages that were actually run, from the log: (side, epochs)."""
    stages: list[tuple[int, int]] = []
    for row in rows:
        if stages and stages[-1][0] == row["side"]:
            stages[-1] = (row["side"], stages[-1][1] + 1)
        else:
            stages.append((row["side"], 1))
    return stages


def write_readme(card: dict[str, Any], path: Path) -> None:
    """Write the model's README: the card as a page."""
    judged, training = card["evaluation"], card["training"]
    stages = ", ".join(f"{s['epochs']} at {s['side']} px" for s in training["stages"])
    latency = card["latency"]["one_image_one_core_ms"]
    size = card["files"]["onnx/model.onnx"]["bytes"] / 1e6
    lines = [
        "---",
        "license: apache-2.0",
        "pipeline_tag: image-classification",
        "library_name: pictag",
        "---",
        "",
        f"# {card['name']}",
        "",
        f"The image classifier included in pictag: 200 classes, {card['parameters'] / 1e6:.1f} million "
        f"parameters, {size:.1f} MB. "
        f"Revision `{card['revision']}`, {card['status']}.",
        "",
        "| figure | value |",
        "|---|---|",
        f"| top-1, held-out images | {judged['top1']:.3f} |",
        f"| top-5, held-out images | {judged['top5']:.3f} |",
        f"| expected calibration error, 15 bins | {judged['ece']:.3f} |",
    ]
    if photos := judged["photographs"]:
        lines.append(f"| top-5, {photos['count']} full-size photographs | {photos['top5']:.2f} |")
    lines += [
        f"| one image on one core, inference only | {latency:.1f} ms |",
        "",
        f"**Data.** {card['data']['name']}: {card['data']['content']}. {card['data']['terms']}. "
        f"{card['data']['learnt_from']:,} images for training, {card['data']['held_out']:,} held out.",
        "",
        f"**Method.** {card['method']}",
        "",
        f"**Training.** {training['epochs']} epochs ({stages}), {training['minutes']:.0f} minutes"
        + (f", {training['hardware']}." if training["hardware"] else "."),
        "",
        "**Limits.**",
        "",
        *[f"- {line}" for line in card["limitations"]],
        "",
        "**Not for:**",
        "",
        *[f"- {line}" for line in card["not_for"]],
        "",
        "The weights are licensed under Apache-2.0. `card.json` has the accuracy of each class, the bins of "
        "the reliability diagram and the most frequent confusions.",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
