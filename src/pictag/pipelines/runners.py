"""A pipeline's sessions: one engine, opened for one image at a time and, when first needed, for many."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pictag.engines.base import check_graph
from pictag.engines.cores import count_cores
from pictag.engines.registry import open_engine
from pictag.errors import EngineError, InvalidModel, PipelineClosed, shorten
from pictag.execution import BatchSizer, Executor, ModelRunner
from pictag.images import FetchLimits, ImageLimits
from pictag.models.class_map import find_class_map
from pictag.models.scores import describe_shape, fits_labels
from pictag.options import EngineOptions
from pictag.pipelines.outputs import settle_outputs
from pictag.pipelines.score_map import MapSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from PIL import Image

    from pictag.engines.base import Engine
    from pictag.execution import Outcome
    from pictag.images import Failed, Source
    from pictag.models.graph_facts import EmbeddingTensor
    from pictag.models.load import Model
    from pictag.options import Mode, PipelineOptions, ScoringOptions

THROUGHPUT_MIN_IMAGES = 256
"""Number of images from which it pays off to open a session with one thread per run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSetup:
    """The chosen engine (its name, or the caller's object), and the embedding that it returns."""

    engine: str | Engine
    embedding: EmbeddingTensor | None = None


class Runners:
    """Opens a model's sessions and keeps them. Thread-safe."""

    def __init__(self, model: Model, setup: EngineSetup, options: PipelineOptions) -> None:
        self.model = model
        self.is_closed = False
        self._setup = setup
        self._options = options
        self._cores = options.threads or count_cores()
        self._lock = threading.Lock()
        self._open: dict[Mode, ModelRunner] = {}
        self._maps: list[MapSession | None] = []  # empty until they are asked for

    def get(self, mode: Mode) -> ModelRunner:
        """The runner for a mode. Raises an error of the ``ModelError`` branch, or `PipelineClosed`."""
        if self._cores == 1 or not self._runs_on_cores:
            mode = "latency"  # one session serves both modes
        runner = self._open.get(mode)
        if runner is None or self.is_closed:
            with self._lock:
                self.check_open()
                runner = self._open.get(mode) or self._open.setdefault(mode, self._make(mode))
        return runner

    def run(
        self,
        sources: Iterable[Source | Failed],
        count: int | None,
        scoring: ScoringOptions,
        *,
        observe: Callable[[Image.Image], Any] | None = None,
    ) -> Iterator[Outcome]:
        """Outcomes of ``count`` sources (``None``: unknown), in order."""
        mode = self._options.mode
        if mode == "auto":
            mode = "throughput" if count is None or count >= THROUGHPUT_MIN_IMAGES else "latency"
        runner = self.adapt(self.get(mode), scoring)
        if observe is not None:
            runner = replace(runner, observe=observe)
        # While the GPU runs the model, the core can decode another image.
        workers = self._cores if self._runs_on_cores else self._cores + 1
        with Executor(workers=workers) as executor:
            yield from executor.stream(runner, sources)

    def adapt(self, runner: ModelRunner, scoring: ScoringOptions) -> ModelRunner:
        """The runner with the batch size and the time limit of a call."""
        if scoring.timeout_s is not None:
            runner = replace(runner, fetch=replace(runner.fetch, timeout_s=scoring.timeout_s))
        if scoring.batch_size is not None and self.model.quantization != "dynamic":
            runner = replace(runner, batch_sizer=BatchSizer((scoring.batch_size,)))
        return runner

    def open_maps(self) -> MapSession | None:
        """The session that also returns the feature map, opened once; ``None`` if the graph has none."""
        with self._lock:
            self.check_open()
            if not self._maps:
                self._maps.append(self._make_maps())
            return self._maps[0]

    def check_open(self) -> None:
        """Raise `PipelineClosed` after `close`."""
        if self.is_closed:
            raise PipelineClosed("This pipeline was closed; open a new one with pictag.pipeline(…).")

    def close(self) -> None:
        """Release all sessions; calling it again does nothing."""
        with self._lock:
            self.is_closed = True
            for runner in self._open.values():
                runner.state.is_closed = True
                runner.engine.close()
            for maps in self._maps:
                if maps is not None:
                    maps.engine.close()

    @property
    def _runs_on_cores(self) -> bool:
        return isinstance(self._setup.engine, str) and self._options.device == "cpu"

    def _make(self, mode: Mode) -> ModelRunner:
        model, options = self.model, self._options
        embedding = self._setup.embedding
        engine = self._open_engine(mode, *(() if embedding is None else (embedding.name,)))
        check_model(model, engine)
        self.model = model = settle_outputs(model, engine)
        max_concurrency = None if self._runs_on_cores and (mode == "throughput" or self._cores == 1) else 1
        if not isinstance(self._setup.engine, str):
            max_concurrency = None
        return ModelRunner(
            model=model,
            engine=engine,
            limits=ImageLimits(
                max_pixels=options.max_pixels,
                alpha="white" if model.spec.alpha == "white" else options.alpha,
            ),
            fetch=FetchLimits(allow_private=options.allow_private_urls),
            decode=options.decode,
            crop=options.crop,
            batch_sizer=BatchSizer(_choose_batch_sizes(model, engine, options)),
            max_concurrency=max_concurrency,
            embedding=self._setup.embedding,
        )

    def _make_maps(self) -> MapSession | None:
        model = self.model
        if not isinstance(self._setup.engine, str) or model.output_name is None:
            return None
        try:
            class_map = find_class_map(model.weights, model.graph, model.output_name)
            if class_map is None:
                return None
            mode: Mode = "throughput" if self._options.mode == "throughput" else "latency"
            return MapSession(engine=self._open_engine(mode, class_map.tensor), class_map=class_map)
        except (EngineError, InvalidModel, OSError, ValueError):  # occlusion needs no second session
            return None

    def _open_engine(self, mode: Mode, *outputs: str) -> Engine:
        if not isinstance(self._setup.engine, str):
            return self._setup.engine
        options = EngineOptions(
            layout=self.model.layout,
            device=self._options.device,
            threads=self._cores,
            mode=mode,
            precision=self._options.precision,
            compiled_cache=self._options.compiled_cache,
            scores=self.model.output_name or "",
        )
        return open_engine(self._setup.engine, self.model.weights, options, outputs)


def _choose_batch_sizes(model: Model, engine: Engine, options: PipelineOptions) -> tuple[int, ...]:
    if model.quantization == "dynamic":
        return (1,)  # the ranges span the whole batch: an image's scores would depend on its neighbours
    fixed = engine.inputs[0].shape[0]
    if fixed is not None:
        return (fixed,)
    return (1, 4) if options.device == "cpu" else (1, 8, 32)


def check_model(model: Model, engine: Engine) -> None:
    """Reject a graph that contradicts the files beside it. Raises `InvalidModel`, which names the file."""
    try:
        check_graph(
            engine.inputs, channels=model.spec.channels, size=model.spec.output_size, layout=model.layout
        )
    except InvalidModel as error:
        raise InvalidModel(f"{shorten(model.weights)}: {error}") from error
    # An engine knows shapes that the file leaves open. An engine of the caller's names its outputs itself.
    named = (output for output in engine.outputs if output.name == model.output_name)
    scores = next(named, next(iter(engine.outputs), None))
    if (
        model.output_name is not None
        and scores is not None
        and fits_labels(scores.shape, len(model.labels)) is False
    ):
        raise InvalidModel(
            f"{shorten(model.weights)}: the graph's output {scores.name} has the shape "
            f"{describe_shape(scores.shape)}, but the model's files name {len(model.labels)} labels. Labels "
            "would be wrong, so the model is not used. Correct id2label or labels.txt."
        )
