"""Values that a quantization reports: progress, agreement, speed and the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIN_AGREEMENT = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a step: ``done`` of ``total`` images or nodes; ``total`` is 0 without a count."""

    step: str
    done: int = 0
    total: int = 0


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An image that couldn't be used, and the reason."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How closely the scores match the original's over ``images`` images.

    ``top1`` is the share of images with the same best label. For each image, the largest score difference
    over all labels is taken; ``mean_difference`` and ``largest_difference`` are the mean and the maximum of
    these.
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
    """Images per second through the graph alone, measured in alternating runs with one engine."""

    batch_size: int
    original: float
    quantized: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One quantized file: how it was made, and its agreement and speed per engine.

    ``float_nodes`` names the nodes whose activations stay in float.
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
    """The result of a quantization. ``output`` is the model folder, usable with `pictag.pipeline`.

    ``lowest_top1`` can only be below ``threshold`` if ``accept_below`` was given.
    """

    output: Path
    artefacts: tuple[Artefact, ...]
    original_bytes: int
    has_attention: bool
    processor: str
    calibration_images: int
    check_images: int
    check_held_out: bool
    skipped: tuple[Skipped, ...]
    threshold: float

    @property
    def lowest_top1(self) -> float:
        """The lowest top-1 agreement of any engine."""
        return min(a.top1 for artefact in self.artefacts for a in artefact.agreement.values())
