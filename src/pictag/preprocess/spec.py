"""A model's preprocessing as one frozen value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pictag.options import Alpha
from pictag.preprocess.resize import Size
from pictag.preprocess.steps import (
    ArrayStep,
    CenterCrop,
    FlipChannels,
    ImageStep,
    Normalize,
    PixelStep,
    Resample,
    Rescale,
    Resize,
    ResizeShortest,
    ResizeToCover,
    Step,
    ToGrayscale,
)
from pictag.preprocess.values import Settings, check_edge, check_numbers, read_resample

__all__ = ["PreprocessSpec", "Step", "plain_spec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessSpec:
    """A model's preprocessing: the steps in order, and the number of channels of the result.

    ``processor`` is the name of the image processor or format that the steps were read from. ``alpha`` is
    ``white`` for a model that sees transparent images on white.

    >>> spec = plain_spec(size=(224, 224), mean=[0.5], std=[0.5])
    >>> spec.output_size
    (224, 224)
    >>> for line in spec.describe():
    ...     print(line)
    resize to 224×224 (bilinear)
    multiply by 1/255
    subtract the mean (0.5 0.5 0.5), divide by the deviation (0.5 0.5 0.5)
    """

    processor: str
    steps: tuple[Step, ...]
    channels: int = 3
    alpha: Alpha = "drop"

    def __post_init__(self) -> None:
        ranks = [_rank(step) for step in self.steps]
        if ranks != sorted(ranks):
            raise ValueError("steps come in the order: image, pixels, array")

    @property
    def output_size(self) -> Size | None:
        """The (height, width) of the result; ``None`` if it depends on the image."""
        size: Size | None = None
        for step in self.steps:
            if isinstance(step, Resize | CenterCrop | ArrayStep):
                size = step.height, step.width
            elif isinstance(step, ImageStep) and not isinstance(step, ToGrayscale):
                size = None
        return size

    def describe(self) -> tuple[str, ...]:
        """One readable line per step."""
        first = ("flatten transparent images on white",) if self.alpha == "white" else ()
        return (*first, *(str(step) for step in self.steps))


def _rank(step: Step) -> int:
    return 0 if isinstance(step, ImageStep) else 1 if isinstance(step, PixelStep) else 2


def plain_spec(
    *,
    size: Size,
    mean: Sequence[float],
    std: Sequence[float],
    scale: float = 1 / 255,
    channel_order: Literal["RGB", "BGR"] = "RGB",
    resample: str | int = "bilinear",
    crop: bool | float = False,
    channels: int = 3,
    file: str = "pictag.toml",
) -> PreprocessSpec:
    """The steps for a plain ``.onnx`` file, from the values in its ``pictag.toml``.

    ``size`` is (height, width). ``mean`` and ``std`` have one number for all channels or one per channel, in
    RGB order, and apply after multiplying by ``scale``. ``crop=False`` resizes the whole image to ``size``
    regardless of its aspect ratio; ``True`` resizes it to cover ``size`` and crops the centre; a number is
    the share of the resized image that the crop keeps, such as the usual 0.875 for ImageNet (224 of 256).
    Raises `InvalidModel`, naming the key and ``file``.
    """
    settings = Settings(file=file, values={"resample": resample})
    if channel_order not in ("RGB", "BGR"):
        raise settings.error("channel_order", channel_order, 'must be "RGB" or "BGR"')
    if channels not in (1, 3):
        raise settings.error("channels", channels, "must be 1 or 3")
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise settings.error("size", size, "must be two numbers, height and width")
    height, width = (check_edge(settings, "size", edge) for edge in size)
    (factor,) = check_numbers(settings, "scale", scale, count=1, nonzero=True)
    steps: list[Step] = [ToGrayscale()] if channels == 1 else []
    steps += _fit(settings, height, width, read_resample(settings, "resample", "bilinear"), crop)
    steps.append(Rescale(factor=factor))
    steps.append(
        Normalize(
            mean=check_numbers(settings, "mean", mean, count=channels),
            std=check_numbers(settings, "std", std, count=channels, nonzero=True),
        )
    )
    if channel_order == "BGR":
        steps.append(FlipChannels())
    return PreprocessSpec(processor="plain", steps=tuple(steps), channels=channels)


def _fit(settings: Settings, height: int, width: int, resample: Resample, crop: bool | float) -> list[Step]:
    if crop is False:
        return [Resize(height=height, width=width, resample=resample)]
    share = 1.0 if crop is True else check_numbers(settings, "crop", crop, count=1, nonzero=True)[0]
    if not 0.05 <= share <= 1:
        raise settings.error("crop", crop, "must be true, false, or a number from 0.05 to 1")
    if height != width:
        cover = ResizeToCover(height=int(height / share), width=int(width / share), resample=resample)
        return [cover, CenterCrop(height=height, width=width)]
    edge = int(height / share)
    return [ResizeShortest(edge=edge, resample=resample), CenterCrop(height=height, width=width)]
