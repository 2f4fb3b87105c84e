"""The steps of one model: read a source, decode and preprocess it, run the graph on a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import EngineError, InvalidModel, PipelineClosed
from pictag.images import read_ahead, read_image
from pictag.preprocess.crop import crop_image
from pictag.preprocess.run import preprocess
from pictag.preprocess.sizes import target_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL import Image

    from pictag.engines.base import Engine
    from pictag.execution.batch_size import BatchSizer
    from pictag.images import FetchLimits, ImageLimits, Source
    from pictag.models.graph_facts import EmbeddingTensor
    from pictag.models.load import Model
    from pictag.options import Crop, Decode


# A caller's np.seterr(all="raise") would make an underflow, which is harmless, an image's failure.
_NUMPYS_OWN: Any = {"all": "warn", "under": "ignore"}


@dataclass(slots=True)
class RunnerState:
    """The mutable part of a runner."""

    is_closed: bool = False


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class ModelRunner:
    """One loaded model with everything that its images need. Thread-safe.

    ``max_concurrency`` is the maximum number of concurrent runs, ``None`` for one per worker. ``observe``
    is called with each decoded image (RGB, upright); what it returns becomes `Outcome.observed`.
    """

    model: Model
    engine: Engine
    limits: ImageLimits
    fetch: FetchLimits
    decode: Decode
    batch_sizer: BatchSizer
    crop: Crop = "model"
    max_concurrency: int | None = None
    embedding: EmbeddingTensor | None = None
    observe: Callable[[Image.Image], Any] | None = None
    state: RunnerState = field(default_factory=RunnerState)

    def read(self, source: Source) -> Source:
        """The source with its bytes in memory. Raises an error of the ``InputError`` branch."""
        return read_ahead(source, limits=self.limits, fetch=self.fetch)

    def load(self, source: Source) -> tuple[NDArray[np.float32], Any]:
        """Pixel values [K, C, H, W] of a source, and what was observed. Raises as `read` does."""
        spec, is_fast = self.model.spec, self.decode == "fast"
        with np.errstate(**_NUMPYS_OWN):
            image = read_image(
                source, limits=self.limits, fetch=self.fetch, needed=self._target_size if is_fast else None
            )
            observed = None if self.observe is None else self.observe(image.rgb)
            parts = (image.rgb,) if self.crop == "model" else crop_image(image.rgb, spec, self.crop)
            arrays = [
                preprocess(part, spec, is_exact=not is_fast, max_pixels=self.limits.max_pixels)
                for part in parts
            ]
        return arrays[0][None] if len(arrays) == 1 else np.stack(arrays), observed

    def infer(self, *arrays: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Logits [N, L] of the pixel values [N, C, H, W] in all arrays, and embeddings [N, D] if requested.

        More images than fit a batch take several runs. Raises `EngineError`, `InvalidModel` or
        `PipelineClosed`.
        """
        pixel_values = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        size = self.batch_sizer.largest
        if len(pixel_values) <= size:
            return self._run(pixel_values)
        runs = [self._run(pixel_values[start : start + size]) for start in range(0, len(pixel_values), size)]
        return tuple(np.concatenate(parts) for parts in zip(*runs, strict=True))

    def _run(self, pixel_values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        if self.state.is_closed:
            raise PipelineClosed("This pipeline was closed; open a new one with pictag.pipeline(…).")
        with np.errstate(**_NUMPYS_OWN):
            outputs = self.engine.run(pixel_values)
        if not isinstance(outputs, tuple) or len(outputs) < (1 if self.embedding is None else 2):
            found = f"{len(outputs)} arrays" if isinstance(outputs, tuple) else type(outputs).__name__
            raise EngineError(
                f"{self.engine.name}: run() returned {found}, not a tuple of the scores [N, labels] and the "
                "outputs that the session was opened for. See pictag.engines.base.Engine."
            )
        logits = outputs[0]
        if logits.shape != (len(pixel_values), len(self.model.labels)):
            raise InvalidModel(
                f"The graph returned scores of shape {list(logits.shape)} for {len(pixel_values)} images, "
                f"but the model's files name {len(self.model.labels)} labels."
            )
        if self.embedding is None:
            return (logits,)
        embedding = _average(outputs[1], self.embedding.axis)
        if not np.isfinite(embedding).all():
            raise EngineError("The model returned an embedding with NaN or infinity for this image.")
        return logits, embedding

    def _target_size(self, size: tuple[int, int]) -> tuple[int, int] | None:
        # images/ uses (width, height), preprocess/ (height, width).
        target = target_size(self.model.spec, size[::-1])
        return target and target[::-1]


def _average(tensor: NDArray[np.float32], axis: int | None) -> NDArray[np.float32]:
    """The embedding [N, D] of a tensor [N, …, D, …]: its mean over all axes but the first and ``axis``."""
    if tensor.ndim == 2:
        return tensor
    if axis is None:
        axis = 1 if tensor.ndim == 4 else -1  # a map, or a sequence of tokens
    kept = axis % tensor.ndim
    mean: NDArray[np.float32] = tensor.mean(axis=tuple(i for i in range(1, tensor.ndim) if i != kept))
    return mean
