"""From sources to logits: with the session, the workers and the batches that a call's mode asks for."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

from pictag.engines.choose import THROUGHPUT_MIN_IMAGES
from pictag.errors import InvalidModel
from pictag.images import Source, keep_blocks, prefetch, read_ahead, read_image
from pictag.options import check_count, check_seconds
from pictag.preprocess.run import preprocess
from pictag.preprocess.sizes import check_resized_size, target_size
from pictag.stream import Tuning, run_one, run_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pictag.engines.base import Engine
    from pictag.engines.choose import Mode
    from pictag.images import Failed, FetchLimits
    from pictag.models.load import Model
    from pictag.pipelines.options import ExecutionOptions
    from pictag.pipelines.sessions import Sessions
    from pictag.stream import Outcome


class ModelRunner:
    """Runs one model on images; ``first`` is the session that is open already."""

    def __init__(self, model: Model, sessions: Sessions, line: ExecutionOptions, *, first: Engine) -> None:
        self._model = model
        self._sessions = sessions
        self._line = line
        self._fixed_batch = first.inputs[0].shape[0]
        # Images of a short list are loaded side by side, and run one after the other with all threads.
        self._turn = threading.Lock()
        # However many workers wait for their files, no more images are in memory than cores work on.
        self._compute_slots = threading.Semaphore(line.cores)
        self._tuning = self._make_tuning(None)

    def classify(
        self,
        sources: Iterable[Source | Failed],
        count: int | None,
        batch_size: int | None,
        timeout_s: float | None,
    ) -> Iterator[Outcome]:
        """Outcomes of ``count`` sources (``None``: nobody knows); wrong options raise at once."""
        fetch = self._line.fetch
        if timeout_s is not None:
            fetch = dataclasses.replace(fetch, timeout_s=check_seconds("timeout_s", timeout_s))
        size = None if batch_size is None else check_count("batch_size", batch_size)
        return self._classify(sources, count, size, fetch)

    def load(self, source: Source, fetch: FetchLimits) -> NDArray[np.float32]:
        """Pixel values [C, H, W]. Raises an error of the ``InputError`` branch."""
        source = self._read(source, fetch)
        with self._compute_slots:
            return self._decode(source)

    def infer(self, engine: Engine, pixel_values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, labels] of pixel values [N, C, H, W]. Raises `EngineError` or `PipelineClosed`."""
        self._sessions.check_open()
        logits = engine.run(pixel_values)
        labels = len(self._model.labels)
        if logits.shape != (len(pixel_values), labels):
            raise InvalidModel(
                f"The graph gave scores of shape {list(logits.shape)} for {len(pixel_values)} images, "
                f"but the model's files name {labels} labels."
            )
        return logits

    def _classify(
        self,
        sources: Iterable[Source | Failed],
        count: int | None,
        batch_size: int | None,
        fetch: FetchLimits,
    ) -> Iterator[Outcome]:
        mode: Mode = "throughput" if count is None or count >= THROUGHPUT_MIN_IMAGES else "latency"
        if self._line.mode != "auto":
            mode = self._line.mode
        engine = self._sessions.get(mode)

        def infer(pixel_values: NDArray[np.float32]) -> NDArray[np.float32]:
            if mode == "throughput":
                return self.infer(engine, pixel_values)
            with self._turn:
                return self.infer(engine, pixel_values)

        def load(source: Source) -> NDArray[np.float32]:
            return self.load(source, fetch)

        if count == 1:
            yield from (run_one(source, load=load, infer=infer) for source in sources)
            return
        tuning = self._tuning if batch_size is None else self._make_tuning(batch_size)
        sources = _prefetch_each(sources)
        keep_blocks()
        if self._sessions.runs_on_core:
            yield from run_stream(
                sources,
                read=lambda source: self._read(source, fetch),
                load=self._decode,
                infer=infer,
                compute_slots=self._compute_slots,
                tuning=tuning,
            )
        else:
            # The model runs elsewhere: meanwhile the core is another image's.
            yield from run_stream(sources, load=load, infer=infer, tuning=tuning)

    def _read(self, source: Source, fetch: FetchLimits) -> Source:
        return read_ahead(source, limits=self._line.limits, fetch=fetch)

    def _decode(self, source: Source) -> NDArray[np.float32]:
        limits = self._line.limits
        needed = self._needed_size if self._line.fast_decode else None
        image = read_image(source, limits=limits, needed=needed)
        width, height = image.rgb.size
        check_resized_size(self._model.spec, (height, width), max_pixels=limits.max_pixels)
        return preprocess(image.rgb, self._model.spec, is_exact=not self._line.fast_decode)

    def _make_tuning(self, batch_size: int | None) -> Tuning:
        sizes = self._line.batch_sizes if self._fixed_batch is None else (self._fixed_batch,)
        return Tuning(
            batch_sizes=sizes if batch_size is None else (batch_size,),
            cores=self._line.cores,
            workers=self._line.workers,
            extra_workers=0 if self._sessions.runs_on_core else 1,
        )

    def _needed_size(self, size: tuple[int, int]) -> tuple[int, int] | None:
        # Images speak of width × height, preprocessing of height × width.
        needed = target_size(self._model.spec, size[::-1])
        return needed and needed[::-1]


def _prefetch_each(sources: Iterable[Source | Failed]) -> Iterator[Source | Failed]:
    for source in sources:
        if isinstance(source, Source):
            prefetch(source)
        yield source
