"""A pipeline that records its calls and can be paused."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pictag import pipeline
from pictag.images import make_source
from pictag.pipelines import ImageClassificationPipeline
from pictag.server.served_model import ModelSpec, ServedModel, make_served
from pictag.stream import Tuning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Recorder(ImageClassificationPipeline):
    """The pipeline ``inner``; ``decoded`` are the sources it decoded, ``batches`` the sizes of its runs."""

    def __init__(self, inner: ImageClassificationPipeline) -> None:
        self.__dict__.update(inner.__dict__)
        self.decoded: list[Any] = []
        self.batches: list[int] = []
        self.is_closed = False
        self.before_run: Callable[[NDArray[Any]], None] = lambda pixels: None
        self.gate = threading.Event()
        self.gate.set()

    def preprocess(self, inputs: Any) -> NDArray[np.float32]:
        self.decoded.append(make_source(inputs).value)
        return super().preprocess(inputs)

    def forward(self, pixel_values: NDArray[Any]) -> NDArray[np.float32]:
        self.batches.append(len(pixel_values))
        self.before_run(pixel_values)
        assert self.gate.wait(60)
        return super().forward(pixel_values)

    def close(self) -> None:
        self.is_closed = True
        super().close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause runs that start inside the block until its end."""
        self.gate.clear()
        try:
            yield
        finally:
            self.gate.set()


def serve_recorder(
    model: Path | str, *, together: int = 1, max_concurrency: int | None = None
) -> ServedModel:
    """A served model with a `Recorder`; a worker takes ``together`` images at a time."""
    recorder = Recorder(pipeline(model=model, mode="throughput"))
    made = make_served(ModelSpec(name="recorded", reference=str(model)), recorder)
    return ServedModel(
        name=made.name,
        classifier=recorder,
        max_concurrency=max_concurrency,
        max_batch=made.max_batch,
        tuning=Tuning(batch_sizes=(together,), cores=1, workers=1),
        size_bytes=made.size_bytes,
    )


def encode_image(
    colour: str | tuple[int, int, int] = "red", *, size: tuple[int, int] = (12, 9), form: str = "PNG"
) -> bytes:
    """An encoded image of a single colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, form)
    return stream.getvalue()
