"""The steps of preprocessing as data; `pictag.preprocess.run` executes them.

There are three kinds, always in this order: an `ImageStep` changes the 8-bit image, a `PixelStep` converts
each 8-bit value to a float, and an `ArrayStep` changes the finished array. ``str(step)`` describes a step for
people. Sizes are height × width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resample = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
"""The name of a filter; its place in `RESAMPLE_NAMES` is the code that Pillow and configuration files use."""

RESAMPLE_NAMES: tuple[Resample, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")

CenterRounding = Literal["transformers", "torchvision", "timm"]
"""Whose rule applies to the odd pixel when an image is cropped or padded around its centre. When padding,
transformers adds it before the image, torchvision and timm after it. When cropping, transformers and
torchvision's tensor code remove it at the end; timm (and torchvision's image code) rounds half to even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenOnWhite:
    """Replace the colour that the file declares transparent with white."""

    def __str__(self) -> str:
        return "replace the transparent colour, if the file declares one, with white"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToGrayscale:
    """Convert three channels to one (ITU-R 601-2 luma)."""

    def __str__(self) -> str:
        return "convert to grey (one channel)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CropFraction:
    """Crop a centred box whose sides are fractions of the image's shorter edge."""

    height: float
    width: float

    def __str__(self) -> str:
        return f"crop the centre to {self.height:g}×{self.width:g} of the shorter edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class PadToSquare:
    """Put the whole image on a square as wide as its longer edge, in the middle. ``fill`` is RGB."""

    fill: tuple[int, int, int] = (255, 255, 255)

    def __str__(self) -> str:
        return f"pad to a square, border {self.fill}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Resize to exactly this size, ignoring the aspect ratio."""

    height: int
    width: int
    resample: Resample

    def __str__(self) -> str:
        return f"resize to {self.height}×{self.width} ({self.resample})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeShortest:
    """Resize the shorter edge to ``edge``, keeping the aspect ratio.

    ``longest`` limits the longer edge, and then also shrinks the shorter one. ``multiple`` rounds both edges
    up. ``rounding`` applies to fractions of a pixel in the longer edge.
    """

    edge: int
    resample: Resample
    longest: int | None = None
    multiple: int = 1
    rounding: Literal["down", "nearest"] = "down"

    def __str__(self) -> str:
        bound = f", longer edge at most {self.longest}" if self.longest else ""
        multiple = f", both rounded up to multiples of {self.multiple}" if self.multiple > 1 else ""
        return f"resize the shorter edge to {self.edge}{bound}{multiple} ({self.resample})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeLongest:
    """Resize the longer edge to ``edge``, keeping the aspect ratio."""

    edge: int
    resample: Resample

    def __str__(self) -> str:
        return f"resize the longer edge to {self.edge} ({self.resample})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeWithin:
    """Resize to the largest size that fits into height × width, keeping the aspect ratio."""

    height: int
    width: int
    resample: Resample
    rounding: Literal["down", "nearest"] = "down"

    def __str__(self) -> str:
        return f"resize to fit into {self.height}×{self.width} ({self.resample})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeToCover:
    """Resize to the smallest size that covers height × width, keeping the aspect ratio."""

    height: int
    width: int
    resample: Resample

    def __str__(self) -> str:
        return f"resize to cover {self.height}×{self.width} ({self.resample})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterCrop:
    """Crop the centre. A smaller image gets a border of colour ``fill`` (RGB)."""

    height: int
    width: int
    odd_pixel: CenterRounding = "transformers"
    fill: tuple[int, int, int] = (0, 0, 0)

    def __str__(self) -> str:
        border = f", border {self.fill}" if any(self.fill) else ""
        return f"crop the centre to {self.height}×{self.width}{border}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """Multiply all values by ``factor``, then add ``offset``."""

    factor: float
    offset: float = 0.0

    def __str__(self) -> str:
        inverse = 1 / self.factor
        by = f"1/{inverse:g}" if inverse == round(inverse) else f"{self.factor:g}"
        return f"multiply by {by}" + (f", add {self.offset:g}" if self.offset else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize:
    """Subtract the mean and divide by the standard deviation, per channel in the image's order."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        mean, std = (" ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        return f"subtract the mean ({mean}), divide by the deviation ({std})"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipChannels:
    """Reverse the order of the channels: RGB becomes BGR."""

    def __str__(self) -> str:
        return "reverse the channels (RGB to BGR)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad:
    """Pad with zeros at the right and the bottom to this size."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"pad with zeros to {self.height}×{self.width}, at the right and the bottom"


ResizeStep = Resize | ResizeShortest | ResizeLongest | ResizeWithin | ResizeToCover
ImageStep = FlattenOnWhite | ToGrayscale | CropFraction | PadToSquare | ResizeStep | CenterCrop
PixelStep = Rescale | Normalize | FlipChannels
ArrayStep = Pad
Step = ImageStep | PixelStep | ArrayStep
