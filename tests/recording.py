"""An engine that records its runs and can be paused, and models that are served with it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pictag.engines.registry import open_engine
from pictag.models.load import load_model
from pictag.models.reference import parse_reference
from pictag.options import EngineOptions, PipelineOptions, ScoringOptions
from pictag.server.served_model import ModelSpec, ServedModel, open_model
from pictag.server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pictag.engines.base import Engine

Colour = tuple[int, int, int]


class Recorder:
    """The engine ``inner``; ``batches`` are the sizes of its runs.

    `serve_recorder` adds the colour of each decoded image's first pixel to ``decoded``.
    """

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self.name, self.inputs, self.outputs = inner.name, inner.inputs, inner.outputs
        self.batches: list[int] = []
        self.decoded: list[Colour] = []
        self.is_closed = False
        self.before_run: Callable[[NDArray[Any]], None] = lambda pixels: None
        self.gate = threading.Event()
        self.gate.set()

    def run(self, pixel_values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        self.batches.append(len(pixel_values))
        self.before_run(pixel_values)
        assert self.gate.wait(60)
        return self._inner.run(pixel_values)

    def close(self) -> None:
        self.is_closed = True
        self._inner.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause runs that start inside the block until its end."""
        self.gate.clear()
        try:
            yield
        finally:
            self.gate.set()


def record(model: Path | str) -> Recorder:
    """A recorder around ONNX Runtime with one thread for each run."""
    loaded = load_model(parse_reference(model))
    options = EngineOptions(layout=loaded.layout, mode="throughput")
    return Recorder(open_engine("onnxruntime", loaded.weights, options))


def open_recorded(spec: ModelSpec) -> ServedModel:
    """The model opened for serving, with a `Recorder` as its engine."""
    recorder = record(str(spec.options.model))
    served = open_model(replace(spec, options=replace(spec.options, engine=recorder)))
    recorder.batches.clear()  # the model is run once when it is opened
    return served


def recorder_of(served: ServedModel) -> Recorder:
    """The engine of a model that was opened with one."""
    assert isinstance(served.runner.engine, Recorder)
    return served.runner.engine


def serve_recorder(
    model: Path | str, *, together: int = 1, max_concurrency: int | None = None
) -> ServedModel:
    """A served model with a `Recorder`; a worker takes ``together`` images at a time."""
    options = PipelineOptions(
        model=model, max_pixels=ServerSettings().max_pixels, scoring=ScoringOptions(batch_size=together)
    )
    served = open_recorded(ModelSpec(name="recorded", options=options))
    recorder = recorder_of(served)

    def note(image: Image.Image) -> None:
        recorder.decoded.append(image.getpixel((0, 0)))  # type: ignore[arg-type]  # three numbers, as it is RGB

    return replace(served, runner=replace(served.runner, max_concurrency=max_concurrency, observe=note))


def encode_image(
    colour: str | Colour = "red", *, size: tuple[int, int] = (12, 9), form: str = "PNG"
) -> bytes:
    """An encoded image of a single colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, form)
    return stream.getvalue()
