"""The network: a residual network of dense 3×3 convolutions, for images of 64×64 pixels.

The first convolution halves the image; four stages work at 32×32, 16×16, 8×8 and 4×4 (for 64 pixels).
Most of the arithmetic is in the middle stages, where dense convolutions use a CPU best. Only
convolutions, batch normalisation, ReLU and pooling are used: they fold into few operations when the model
is exported.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Widths of the four stages, and the number of residual blocks in each."""

    widths: tuple[int, ...] = (48, 96, 192, 384)
    depths: tuple[int, ...] = (1, 2, 2, 1)
    classes: int = CLASSES


class Normalised(nn.Module):
    """A convolution without bias and the batch normalisation that follows it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut; the last normalisation starts at zero."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = Normalised(inputs, outputs, 3, stride)
        self.second = Normalised(outputs, outputs, 3)
        nn.init.zeros_(self.second.norm.weight)
        self.stride = stride
        self.shortcut = Normalised(inputs, outputs, 1) if stride != 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(functional.relu(self.first(x)))
        if self.shortcut is not None:
            x = self.shortcut(functional.avg_pool2d(x, 2, ceil_mode=True) if self.stride == 2 else x)
        return functional.relu(x + y)


class Network(nn.Module):
    """Images ([batch, 3, side, side], about zero mean and unit spread) to logits ([batch, classes])."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = Normalised(3, shape.widths[0], 3, 2)
        blocks: list[Block] = []
        inputs = shape.widths[0]
        for stage, (width, depth) in enumerate(zip(shape.widths, shape.depths, strict=True)):
            for place in range(depth):
                blocks.append(Block(inputs, width, 2 if stage and not place else 1))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(functional.relu(self.stem(x)))
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


def count_parameters(network: nn.Module) -> int:
    """The number of trained parameters."""
    return sum(p.numel() for p in network.parameters())


def build_network(shape: Shape, seed: int) -> Network:
    """A new network, the same for the same `seed`."""
    torch.manual_seed(seed)
    return Network(shape)
