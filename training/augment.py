"""Random views of a batch of images, a different one for each image, as two matrix products.

Cropping, resizing, flipping, blurring and sharpening along one axis are all linear: each output pixel is a
weighted sum of the 64 pixels of that axis. A view is therefore `rows · image · columnsᵀ`, with random
matrices for each image. The filter is a triangle as wide as the reduction requires (the antialiasing of
Pillow's resize), times a random factor: a narrower one aliases, a wider one blurs, and the difference of two
sharpens. Large photographs that are scaled down are sharper than the JPEG files of 64×64 that the network is
trained on; this range covers both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

MEAN = 0.45
STD = 0.27
SMALLEST_CROP = 0.35
ASPECT = 4 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Normalised images (channels last in memory), with two classes each and the share of the first."""

    pixels: Tensor
    labels: Tensor
    others: Tensor
    share: Tensor


def sampling_matrix(start: Tensor, length: Tensor, width: Tensor, source: int, side: int) -> Tensor:
    """Weights [batch, side, source] that resample `length` pixels from `start` to `side`, by a triangle.

    `width` multiplies the filter's half width, which is never below one pixel of the source times 0.6.
    """
    step = (length / side)[:, None, None]
    centre = start[:, None, None] + (torch.arange(side, device=start.device)[None, :, None] + 0.5) * step
    pixel = torch.arange(source, device=start.device)[None, None, :] + 0.5
    half = (step.clamp(min=1.0) * width[:, None, None]).clamp(min=0.6)
    weights = (1 - (pixel - centre).abs() / half).clamp(min=0)
    return weights / weights.sum(dim=2, keepdim=True).clamp(min=1e-6)


def resample(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`rows` · image · `columns`ᵀ of uint8 images [batch, y, x, 3], as floats from 0 to 1."""
    count, height, width, _ = pixels.shape
    x = pixels.permute(0, 2, 1, 3).to(torch.float32).reshape(count, width, height * 3)
    x = torch.bmm(columns, x).view(count, columns.shape[1], height, 3)
    x = torch.bmm(rows, x.permute(0, 2, 1, 3).reshape(count, height, -1))
    return x.view(count, rows.shape[1], columns.shape[1], 3) / 255


def normalise(pixels: Tensor) -> Tensor:
    """[batch, y, x, 3] from 0 to 1, to [batch, 3, y, x] of about zero mean, channels last in memory."""
    return ((pixels - MEAN) / STD).permute(0, 3, 1, 2)


def whole_view(pixels: NDArray[np.uint8], side: int, device: torch.device) -> Tensor:
    """The images unchanged except for their size, as the network is evaluated on them."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    count, source = len(batch), batch.shape[1]
    ones = torch.ones(count, device=device)
    matrix = sampling_matrix(0 * ones, source * ones, ones, source, side)
    return normalise(resample(batch, matrix, matrix))


def random_views(pixels: Tensor, side: int, generator: Generator) -> Tensor:
    """Cropped, flipped, blurred or sharpened, recoloured views [batch, y, x, 3] of uint8 images."""
    count, source = pixels.shape[0], pixels.shape[1]

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator).mul_(high - low).add_(low)

    def chance(probability: float) -> Tensor:
        return torch.rand(count, generator=generator) < probability

    area = draw(SMALLEST_CROP, 1.0) * source**2
    aspect = torch.exp(draw(-math.log(ASPECT), math.log(ASPECT)))
    blur = torch.where(chance(0.2), draw(1.0, 2.5), draw(0.7, 1.2))
    sharpen = torch.where(chance(0.3), draw(0.0, 0.8), torch.zeros(count))
    axes = []
    for length in ((area / aspect).sqrt().clamp(max=source), (area * aspect).sqrt().clamp(max=source)):
        start = draw(0.0, 1.0) * (source - length)
        matrix = sampling_matrix(start, length, blur, source, side)
        wide = sampling_matrix(start, length, blur * 2, source, side)
        axes.append(matrix + sharpen[:, None, None] * (matrix - wide))
    rows, columns = axes
    columns = torch.where(chance(0.5)[:, None, None], columns.flip(1), columns)
    device = pixels.device
    x = resample(pixels, rows.to(device), columns.to(device)).clamp_(0, 1)

    def factors(spread: float) -> Tensor:
        return draw(1 - spread, 1 + spread).view(-1, 1, 1, 1).to(device)

    saturation = torch.where(chance(0.03).view(-1, 1, 1, 1).to(device), 0.0, factors(0.3))
    grey = x.mean(dim=3, keepdim=True)
    x = grey + saturation * (x - grey)
    contrast, level = factors(0.3), x.mean(dim=(1, 2, 3), keepdim=True)
    return level * factors(0.25) + contrast * (x - level)


def cut_and_paste(views: Tensor, labels: Tensor, probability: float, generator: Generator) -> Batch:
    """CutMix: with `probability`, replace a rectangle of an image by one from another image of the batch."""
    count, side = views.shape[0], views.shape[1]
    partner = torch.randperm(count, generator=generator)
    size = torch.rand(count, generator=generator).sqrt() * side * 0.7
    size = torch.where(torch.rand(count, generator=generator) < probability, size, torch.zeros(count))
    place = torch.arange(side) + 0.5
    inside = []
    for _ in range(2):
        start = torch.rand(count, generator=generator) * (side - size)
        inside.append((place >= start[:, None]) & (place < (start + size)[:, None]))
    mask = inside[0][:, :, None] & inside[1][:, None, :]
    share = 1 - mask.float().mean(dim=(1, 2))
    device = views.device
    mixed = torch.where(mask.to(device)[..., None], views[partner.to(device)], views)
    partners = labels[partner.to(device)]
    return Batch(pixels=normalise(mixed), labels=labels, others=partners, share=share.to(device))
