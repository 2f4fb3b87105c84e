"""Reads timm's ``pretrained_cfg``: the preprocessing of its models for evaluation (timm 1.0).

``input_size`` is [channels, height, width]. The image is first resized to this size divided by ``crop_pct``,
then cropped. With ``crop_mode`` ``center`` it covers the size, with ``squash`` the aspect ratio is ignored,
and with ``border`` the whole image fits in, with a border of the mean colour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pictag.errors import UnsupportedProcessor
from pictag.preprocess.classes import IMAGENET_MEAN, IMAGENET_STD
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import (
    CenterCrop,
    Normalize,
    Resample,
    Rescale,
    Resize,
    ResizeShortest,
    ResizeToCover,
    ResizeWithin,
    Step,
    ToGrayscale,
)
from pictag.preprocess.values import Settings, check_edge, read_numbers, read_resample, read_share

NAME = "TimmWrapperImageProcessor"
_FLAT_KEYS = {"input_size", "mean", "std", "interpolation", "crop_pct"}


def timm_settings(config: Mapping[str, object], file: str) -> Settings | None:
    """The timm section of a configuration, or ``None`` if it isn't a timm model's.

    Newer files have a ``pretrained_cfg``; older ones are flat and have an ``architecture``.
    """
    nested = config.get("pretrained_cfg")
    if isinstance(nested, Mapping):
        return Settings(file=f"{file} (pretrained_cfg)", values=nested)
    if nested is not None:
        raise Settings(file=file, values=config).error("pretrained_cfg", nested, "must be an object")
    if isinstance(config.get("architecture"), str) and _FLAT_KEYS & set(config):
        return Settings(file=file, values=config)
    return None


def read_timm(settings: Settings) -> PreprocessSpec:
    """The preprocessing of a timm model. Raises `InvalidModel` for an invalid value."""
    channels, height, width = _read_input_size(settings)
    mean = read_numbers(settings, ("mean",), IMAGENET_MEAN, count=channels)
    std = read_numbers(settings, ("std",), IMAGENET_STD, count=channels, nonzero=True)
    steps: list[Step] = [ToGrayscale()] if channels == 1 else []
    steps += _fit(settings, height, width, mean)
    steps += [Rescale(factor=1 / 255), Normalize(mean=mean, std=std)]
    return PreprocessSpec(processor=NAME, steps=tuple(steps), channels=channels)


def _read_input_size(settings: Settings) -> tuple[int, int, int]:
    value = settings.get("input_size")
    if value is None:
        edge = check_edge(settings, "img_size", settings.get("img_size") or 224)
        return 3, edge, edge
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise settings.error("input_size", value, "must be three numbers: channels, height, width")
    channels, height, width = (check_edge(settings, "input_size", edge) for edge in value)
    if channels not in (1, 3):
        raise UnsupportedProcessor(
            f"{settings.file}: the model takes images of {channels} channels; pictag makes 1 (grey) or "
            "3 (RGB). Use a model for ordinary images."
        )
    return channels, height, width


def _fit(settings: Settings, height: int, width: int, mean: tuple[float, ...]) -> list[Step]:
    share = read_share(settings, "crop_pct", 0.875)
    tall, wide = math.floor(height / share), math.floor(width / share)
    if min(tall, wide) < 1:
        raise settings.error("crop_pct", share, f"it leaves nothing of {height}×{width}")
    resample = _read_interpolation(settings)
    mode = settings.get("crop_mode") or "center"
    crop = CenterCrop(height=height, width=width, odd_pixel="timm")
    if mode == "squash":
        return [Resize(height=tall, width=wide, resample=resample), crop]
    if mode == "border":
        colour = [min(255, max(0, round(255 * value))) for value in mean] * (3 // len(mean))
        framed = CenterCrop(
            height=height, width=width, odd_pixel="timm", fill=(colour[0], colour[1], colour[2])
        )
        return [ResizeWithin(height=tall, width=wide, resample=resample, rounding="nearest"), framed]
    if mode != "center":
        raise settings.error("crop_mode", mode, "must be center, squash or border")
    if tall == wide:
        return [ResizeShortest(edge=tall, resample=resample), crop]
    return [ResizeToCover(height=tall, width=wide, resample=resample), crop]


def _read_interpolation(settings: Settings) -> Resample:
    # "random" means a random filter per image in training; timm evaluates such models with bilinear
    if settings.get("interpolation") == "random":
        return "bilinear"
    return read_resample(settings, "interpolation", "bicubic")
