"""A caller's own engine, which can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pictag.engines.base import TensorInfo


@dataclass
class OwnEngine:
    """Always "blue", with the mean of each channel as the embedding; ``is_bare`` returns the scores alone."""

    name: str = "own"
    is_bare: bool = False
    is_closed: bool = False
    inputs: tuple[TensorInfo, ...] = (TensorInfo(name="x", shape=(None, 3, 8, 8), dtype="float32"),)
    outputs: tuple[TensorInfo, ...] = (TensorInfo(name="y", shape=(None, 3), dtype="float32"),)

    def run(self, pixel_values: np.ndarray) -> Any:
        scores = np.tile(np.array([0, 0, 5], np.float32), (len(pixel_values), 1))
        return scores if self.is_bare else (scores, pixel_values.mean(axis=(2, 3)))

    def close(self) -> None:
        self.is_closed = True
