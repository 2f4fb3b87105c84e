"""A runner whose images are numbers: fast, predictable, and able to fail in every way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pictag.errors import CorruptImage
from pictag.execution import BatchSizer, ModelRunner
from pictag.images import Source, make_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pictag.execution import Outcome


def make_sources(count: int) -> list[Source]:
    return [make_source(f"{index}.png") for index in range(count)]


def number_of(source: Source) -> int:
    return int(source.name.rsplit("/")[-1].removesuffix(".png"))


def make_pixels(*numbers: int, side: int = 1) -> NDArray[np.float32]:
    """Pixel values [K, 3, side, side], each filled with its number."""
    return np.tile(np.array(numbers, np.float32)[:, None, None, None], (1, 3, side, side))


def load_number(source: Source) -> NDArray[np.float32]:
    """Every tenth image is corrupt, and every fifth is larger."""
    number = number_of(source)
    if number % 10 == 7:
        raise CorruptImage(f"{source.name} is corrupt")
    return make_pixels(number, side=2 if number % 5 == 3 else 1)


def infer_number(pixel_values: NDArray[np.float32]) -> NDArray[np.float32]:
    return pixel_values[:, :1, 0, 0]


@dataclass(eq=False, kw_only=True)
class NumberRunner:
    """The part of a `ModelRunner` that an `Executor` uses; ``runs`` are the shapes that were run."""

    on_read: Callable[[Source], Source] = lambda source: source
    on_load: Callable[[Source], NDArray[np.float32]] = load_number
    on_infer: Callable[[NDArray[np.float32]], NDArray[np.float32]] = infer_number
    batch_sizer: BatchSizer = field(default_factory=lambda: BatchSizer((4,)))
    max_concurrency: int | None = None
    loaded: list[str] = field(default_factory=list)
    runs: list[tuple[int, ...]] = field(default_factory=list)

    def read(self, source: Source) -> Source:
        return self.on_read(source)

    def load(self, source: Source) -> tuple[NDArray[np.float32], Any]:
        self.loaded.append(source.name)
        return self.on_load(source), f"saw {source.name}"

    def infer(self, *arrays: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        pixel_values = np.concatenate(arrays)
        self.runs.append(pixel_values.shape)
        logits = self.on_infer(pixel_values)
        return logits, 2 * logits


def number_runner(**fields: Any) -> tuple[NumberRunner, ModelRunner]:
    """The same runner with two types: the recorder, and what an executor takes."""
    runner = NumberRunner(**fields)
    return runner, cast("ModelRunner", runner)


def describe(outcome: Outcome) -> float | str:
    """The image's number, or the name of its error."""
    return type(outcome.error).__name__ if outcome.logits is None else float(outcome.logits[0, 0])
