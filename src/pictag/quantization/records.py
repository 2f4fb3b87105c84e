"""What a quantisation is told, says as it goes, and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BAR = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a step is: ``done`` of ``total`` images or nodes; ``total`` is 0 where nothing is counted."""

    step: str
    done: int = 0
    total: int = 0


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An image that could not be used, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How close scores are to those of the original, over ``images``.

    ``top1`` is the share of images with the same best label. Of each image the largest difference of a
    score, over all labels, is taken: ``mean_difference`` is the mean of those, ``largest_difference`` the
    largest.
    """

    images: int
    top1: float
    mean_difference: float
    largest_difference: float

    @property
    def rank(self) -> tuple[float, float]:
        """Larger is better."""
        return self.top1, -self.mean_difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Images a second through the graph alone, in alternating laps on one machine, for one engine."""

    batch_size: int
    original: float
    quantized: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One quantised file: for which engines, how it was made, and what it is worth.

    ``agreement`` and ``speed`` are by engine. ``float_nodes`` names the nodes that kept their activations.
    """

    path: str
    method: str
    float_nodes: tuple[str, ...]
    sha256: str
    size_bytes: int
    agreement: dict[str, Agreement]
    speed: dict[str, Speed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it. ``output`` is the model folder, to be given to `pictag.pipeline`.

    ``lowest_top1`` below ``bar`` means that it was accepted all the same, because that was asked for.
    """

    output: Path
    artefacts: tuple[Artefact, ...]
    original_bytes: int
    has_attention: bool
    processor: str
    calibration_images: int
    check_images: int
    check_held_back: bool
    skipped: tuple[Skipped, ...]
    bar: float

    @property
    def lowest_top1(self) -> float:
        """The worst top-1 agreement of any engine."""
        return min(a.top1 for artefact in self.artefacts for a in artefact.agreement.values())
