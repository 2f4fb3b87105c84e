"""The training plan: image sizes over the epochs, and the learning rate."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

Stages = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One training run. `stages` are (side of the images in pixels, epochs) one after another."""

    stages: Stages
    decay_epochs: int
    batch: int = 256
    part: int = 64
    muon_rate: float = 0.025
    adam_rate: float = 2e-3
    momentum: float = 0.9
    smoothing: float = 0.1
    cutmix: float = 0.2
    average: float = 0.998
    seed: int = 1

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return sum(count for _, count in self.stages)

    def side(self, epoch: int) -> int:
        """The side of the images in `epoch` (from 0)."""
        for side, count in self.stages:
            if epoch < count:
                return side
            epoch -= count
        return self.stages[-1][0]

    def rate(self, moment: float) -> float:
        """The share of the full learning rate at `moment` (in epochs): warm-up, constant, decay to zero."""
        return min(1.0, moment + 0.02, max(0.0, (self.epochs - moment) / self.decay_epochs))


def parse_stages(text: str) -> Stages:
    """`32:10,64:5` as ((32, 10), (64, 5)): ten epochs at 32 pixels, then five at 64."""
    try:
        parts = [part.split(":") for part in text.split(",")]
        stages = tuple((int(side), int(count)) for side, count in parts)
    except ValueError:
        stages = ()
    if not stages or any(count < 1 or side < 32 for side, count in stages):
        raise argparse.ArgumentTypeError(
            f"{text!r}: write SIDE:EPOCHS,… with sides of 32 or more, such as 32:10,64:5"
        )
    return stages
