"""Random configurations: for each image processor its default, and others that use all of its keys.

They are seeded by the processor's name and a number, so every run compares the same configurations.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Configuration = dict[str, Any]

DRAWN = 12
"""How many configurations are drawn for each processor, beside the default."""


def configurations(processor: str, *, edge: int | None = None, count: int = DRAWN) -> list[Configuration]:
    """``count`` random configurations; with ``edge``, all of them produce images of edge × edge."""
    rng = random.Random(f"{processor} {edge}")
    return [_draw(processor, rng, edge, number) for number in range(count)]


def default_configuration(processor: str) -> Configuration:
    """A file that leaves all values to the defaults of the class."""
    return {"image_processor_type": processor}


def _draw(processor: str, rng: random.Random, edge: int | None, number: int) -> Configuration:
    drawn = _name(processor, rng)
    drawn.update(_DRAW.get(processor, _draw_plain)(rng, edge))
    drawn["resample"] = number % 6 if processor != "PPLCNetImageProcessor" else rng.choice([0, 2, 3])
    drawn.update(_draw_tones(rng))
    return drawn


def _name(processor: str, rng: random.Random) -> Configuration:
    legacy = processor.replace("ImageProcessor", "FeatureExtractor")
    return rng.choice(
        [
            {"image_processor_type": processor},
            {"image_processor_type": processor},
            {"image_processor_type": f"{processor}Fast"},
            {"feature_extractor_type": legacy},
        ]
    )


def _draw_tones(rng: random.Random) -> Configuration:
    drawn: Configuration = {}
    if rng.random() < 0.7:
        drawn["image_mean"] = [round(rng.uniform(0.2, 0.7), 4) for _ in range(3)]
        drawn["image_std"] = [round(rng.uniform(0.1, 0.5), 4) for _ in range(3)]
    elif rng.random() < 0.5:
        drawn["image_mean"], drawn["image_std"] = round(rng.uniform(0.2, 0.7), 3), 0.25
    if rng.random() < 0.25:
        drawn["rescale_factor"] = rng.choice([1 / 127.5, 1 / 256, 0.00392156862745098])
    if rng.random() < 0.15:
        drawn["do_normalize"] = False
    if rng.random() < 0.08:
        drawn["do_rescale"] = False
    if rng.random() < 0.15:
        drawn["do_convert_rgb"] = rng.choice([True, False, None])
    return drawn


def _edge(rng: random.Random, edge: int | None) -> int:
    return edge or rng.choice([7, 16, 24, 31, 48, 64, 97, 128])


def _draw_plain(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    wide = side if edge else _edge(rng, None)
    larger = side + rng.randrange(0, 40)
    crop: Configuration = {
        "do_center_crop": True,
        "crop_size": rng.choice([side, {"height": side, "width": wide}]),
    }
    exact: Configuration = {"do_center_crop": False}
    rules: list[Configuration] = [
        {"size": {"height": side, "width": wide}, **exact},
        {"size": [side, wide], **exact},
        {"size": side, "default_to_square": True, **exact},
        {"size": larger, **crop},
        {"size": {"height": larger, "width": side + 3}, **crop},
        {"size": {"shortest_edge": larger}, **crop},
        {"size": {"shortest_edge": max(1, side - 5)}, **crop},
        {"size": {"shortest_edge": larger, "longest_edge": larger + rng.randrange(1, 60)}, **crop},
        {"size": {"max_height": larger, "max_width": side + 9}, **crop},
        {"do_resize": False, **crop},
    ]
    if edge is None:
        rules.append({"size": {"shortest_edge": side}, **exact})
        rules.append({"size": {"height": side, "width": wide}, **exact, "do_pad": True, "pad_size": 130})
    return rng.choice(rules)


def _draw_segformer(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    wide = side if edge else _edge(rng, None)
    return {
        "size": rng.choice([side if side == wide else [side, wide], {"height": side, "width": wide}]),
        "do_reduce_labels": rng.choice([True, False]),
        "do_center_crop": rng.choice([True, False]),
        "crop_size": 5,
    }


def _draw_convnext(rng: random.Random, edge: int | None) -> Configuration:
    side = edge or rng.choice([16, 31, 64, 128, 383, 384, 400])
    drawn: Configuration = {"size": rng.choice([side, {"shortest_edge": side}])}
    if rng.random() < 0.7:
        drawn["crop_pct"] = rng.choice([0.875, 0.9, 0.95, 1.0, 0.77])
    if edge is None and rng.random() < 0.3:
        drawn.update({"do_center_crop": True, "crop_size": rng.choice([20, 50])})
    return drawn


def _draw_efficientnet(rng: random.Random, edge: int | None) -> Configuration:
    return {
        **_draw_plain(rng, edge),
        "rescale_offset": rng.choice([True, False]),
        "include_top": rng.choice([True, False]),
        "do_pad": False,
    }


def _draw_levit(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    return {
        "size": rng.choice([side, {"shortest_edge": side}, {"height": side + 4, "width": side + 1}]),
        "crop_size": {"height": side, "width": side},
    }


def _draw_mobilevit(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    return {
        "size": rng.choice([side + 5, {"shortest_edge": side + 9}, {"height": side, "width": side + 2}]),
        "crop_size": {"height": side, "width": side},
        "do_flip_channel_order": rng.choice([True, False]),
        "do_rescale": True,
    }


def _draw_perceiver(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    wide = side if edge else _edge(rng, None)
    crop = rng.choice([side + 8, {"height": side + 20, "width": wide + 3}, {"height": side, "width": wide}])
    return {
        "size": {"height": side, "width": wide},
        "crop_size": crop,
        "do_center_crop": rng.random() < 0.8,
    }


def _draw_poolformer(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    return {
        "size": rng.choice(
            [
                side,
                {"shortest_edge": side},
                {"height": side, "width": side},
                {"height": side, "width": side + 6},
            ]
        ),
        "crop_size": {"height": side, "width": side},
        "crop_pct": rng.choice([0.9, 0.95, 1.0, 0.875]),
    }


def _draw_textnet(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    drawn: Configuration = {
        "size": rng.choice([side, {"shortest_edge": side}]),
        "size_divisor": rng.choice([1, 8, 32]),
    }
    if edge or rng.random() < 0.3:
        drawn.update({"do_center_crop": True, "crop_size": side})
    return drawn


def _draw_pplcnet(rng: random.Random, edge: int | None) -> Configuration:
    side = _edge(rng, edge)
    return {
        "resize_short": side + rng.choice([0, 4, 11]),
        "crop_size": side,
        "size_divisor": rng.choice([1, 1, 8]),
    }


_DRAW: dict[str, Callable[[random.Random, int | None], Configuration]] = {
    "SegformerImageProcessor": _draw_segformer,
    "ConvNextImageProcessor": _draw_convnext,
    "EfficientNetImageProcessor": _draw_efficientnet,
    "LevitImageProcessor": _draw_levit,
    "MobileViTImageProcessor": _draw_mobilevit,
    "PerceiverImageProcessor": _draw_perceiver,
    "PoolFormerImageProcessor": _draw_poolformer,
    "TextNetImageProcessor": _draw_textnet,
    "PPLCNetImageProcessor": _draw_pplcnet,
}


def fitted_configuration(processor: str, edge: int) -> Configuration:
    """The default configuration, for a model whose images are edge × edge."""
    larger = edge * 8 // 7
    sizes: dict[str, Configuration] = {
        "BitImageProcessor": {"size": {"shortest_edge": edge}, "crop_size": edge},
        "CLIPImageProcessor": {"size": {"shortest_edge": edge}, "crop_size": edge},
        "ConvNextImageProcessor": {"size": {"shortest_edge": edge}},
        "DeiTImageProcessor": {"size": {"height": larger, "width": larger}, "crop_size": edge},
        "LevitImageProcessor": {"size": {"shortest_edge": edge}, "crop_size": edge},
        "MobileNetV1ImageProcessor": {"size": {"shortest_edge": larger}, "crop_size": edge},
        "MobileNetV2ImageProcessor": {"size": {"shortest_edge": larger}, "crop_size": edge},
        "MobileViTImageProcessor": {"size": {"shortest_edge": larger}, "crop_size": edge},
        "PerceiverImageProcessor": {"size": {"height": edge, "width": edge}, "crop_size": larger},
        "PoolFormerImageProcessor": {"size": {"shortest_edge": edge}, "crop_size": edge},
        "PPLCNetImageProcessor": {"resize_short": larger, "crop_size": edge},
        "TextNetImageProcessor": {
            "size": {"shortest_edge": edge},
            "do_center_crop": True,
            "crop_size": edge,
        },
    }
    fitted = sizes.get(processor, {"size": {"height": edge, "width": edge}})
    return {**default_configuration(processor), **fitted}
