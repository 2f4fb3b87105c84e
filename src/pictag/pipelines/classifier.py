"""The pipeline object: images in, labels out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from pictag.errors import OptionError, UnsupportedInput, shorten
from pictag.execution import Outcome, run_one
from pictag.images import expand, is_single, iterate, make_source
from pictag.options import check_count, check_names, update_scoring_options
from pictag.pipelines.numbers import describe_value, read_numbers
from pictag.pipelines.opening import open_runners
from pictag.pipelines.results import as_source, make_entry, make_scorer
from pictag.pipelines.runners import THROUGHPUT_MIN_IMAGES
from pictag.pipelines.score_map import ScoreMap, check_method, map_score
from pictag.transformers_names import explain_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Literal, Self, Unpack

    from numpy.typing import NDArray
    from PIL import Image

    from pictag.engines.base import Engine
    from pictag.images import SingleInput
    from pictag.models.card import ModelCard
    from pictag.models.load import Model
    from pictag.options import CallKeywords, PipelineOptions, ScoringKeywords, ScoringOptions
    from pictag.pipelines.results import LabelScore, Scorer
    from pictag.pipelines.runners import Runners
    from pictag.pipelines.score_map import Method
    from pictag.records import Prediction

R = TypeVar("R")


class ImageClassificationPipeline(Generic[R]):
    """Classifies images. Made by `pictag.pipeline`; thread-safe.

    ``R`` is what a call without options returns for one image. Pickling stores the options and opens the
    model again, so that multiprocessing, joblib, Dask and Ray work.
    """

    def __init__(self, runners: Runners, options: PipelineOptions) -> None:
        self.options = options
        self._runners = runners
        self._runner = runners.adapt(
            runners.get("throughput" if options.mode == "throughput" else "latency"), options.scoring
        )
        self.model: Model = self._runner.model
        self._scorer = make_scorer(self.model, options.scoring)

    @classmethod
    def open(cls, options: PipelineOptions) -> Self:
        """Find, fetch, check and open the model. Raises as `pictag.pipeline` does."""
        return cls(open_runners(options), options)

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels, by index."""
        return self.model.labels

    @property
    def card(self) -> ModelCard:
        """What is known about the model."""
        return self.model.card

    @property
    def task(self) -> str:
        """``"image-classification"``."""
        return "image-classification"

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.options.device

    @property
    def engine(self) -> Engine:
        """The session for one image at a time, or that of the pipeline's ``mode``."""
        return self._runner.engine

    # A str or an array is iterable too, but is one image; and 1 is an int, but doesn't give a list.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, inputs: SingleInput, **options: Unpack[CallKeywords]
    ) -> R: ...
    @overload
    def __call__(self, inputs: Iterable[Any], **options: Unpack[CallKeywords]) -> list[R]: ...
    @overload
    def __call__(self, inputs: Any, *, top_k: Literal[1], **options: Unpack[CallKeywords]) -> Any: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, inputs: SingleInput, *, top_k: int | None, **options: Unpack[CallKeywords]
    ) -> list[LabelScore]: ...
    @overload
    def __call__(
        self, inputs: Iterable[Any], *, top_k: int | None, **options: Unpack[CallKeywords]
    ) -> list[list[LabelScore]]: ...
    def __call__(self, inputs: Any = None, **options: Unpack[ScoringKeywords]) -> Any:
        """Classify one image or several.

        Args:
            inputs: An image, or a list, tuple, iterator or dataset of images: path, URL, ``data:`` URI,
                base64 text, bytes, file object, PIL image or array.
            **options: The fields of `pictag.options.ScoringOptions`: ``top_k``, ``function_to_apply``,
                ``min_score``, ``batch_size``, ``timeout_s``.

        Returns:
            One image: a dict ``{"label", "score"}`` for ``top_k=1``, otherwise a list of them. Several: a
            list with one such entry for each. If no label reaches ``min_score``, the dict is ``None``, or the
            list empty.

        Raises:
            InputError: for the first image that can't be used. `predict` and `stream` continue instead.
            OptionError: for an invalid option.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded")
        >>> black = np.zeros((64, 64, 3), np.uint8)
        >>> classifier(black).keys(), len(classifier(black, top_k=3)), len(classifier([black, black]))
        (dict_keys(['label', 'score']), 3, 2)
        """
        scorer, scoring, runner = self._scorer, self.options.scoring, self._runner
        if options or self._runners.is_closed:
            scorer, scoring = self._read_options(options)
            runner = self._runners.adapt(runner, scoring)
        as_one = scoring.top_k == 1 and not self.options.always_list
        if is_single(inputs):
            return make_entry(scorer.pick(run_one(runner, make_source(inputs))), as_one=as_one)
        outcomes = self._runners.run(map(as_source, iterate(inputs)), _count(inputs), scoring)
        return [make_entry(scorer.pick(outcome), as_one=as_one) for outcome in outcomes]

    def predict(self, inputs: Any, **options: Unpack[ScoringKeywords]) -> list[Prediction]:
        """Classify like a call, but return typed records: a list, in which failed images have an ``error``.

        >>> from pictag import pipeline
        >>> pipeline(model="embedded").predict("missing.jpg")[0].error.kind
        'ImageNotFound'
        """
        scorer, scoring = self._read_options(options)
        return [scorer.predict(outcome) for outcome in self._run(inputs, scoring)]

    def stream(
        self,
        iterable: Iterable[Any],
        *,
        observe: Callable[[Image.Image], Any] | None = None,
        **options: Unpack[ScoringKeywords],
    ) -> Iterator[Prediction]:
        """Classify any number of images, lazily, in order, in bounded memory.

        Accepts what a call accepts, and also folders and globs, which are expanded to their images (to
        include subfolders, pass ``pictag.images.expand([folder], recursive=True)``). An image that fails is a
        `Prediction` with ``error``; the others are still classified. Images are read ahead, so don't reuse an
        array or buffer for the next image: pass a copy.

        ``observe`` is called with each decoded image (RGB, upright), in the thread that decoded it; what it
        returns is the prediction's ``observed``. If it raises, that image fails.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded")
        >>> [prediction.error.kind for prediction in classifier.stream(["missing.jpg", "missing/*.jpg"])]
        ['ImageNotFound', 'ImageNotFound']
        """
        scorer, scoring = self._read_options(options)
        if is_single(iterable):
            raise UnsupportedInput(
                f"stream() takes several images, folders or globs; {shorten(repr(iterable))} is one image. "
                "Put it into a list."
            )
        sources = expand(iterate(iterable))
        count = None
        if _count(iterable) is not None:  # folders may hold many images
            first = list(itertools.islice(sources, THROUGHPUT_MIN_IMAGES))
            count = len(first)
            sources = itertools.chain(first, sources)
        return map(scorer.predict, self._runners.run(sources, count, scoring, observe=observe))

    def embed(
        self, inputs: Any, *, batch_size: int | None = None, timeout_s: float | None = None
    ) -> NDArray[np.float32]:
        """The embeddings of one image or several: float32 [N, D]; one image gives N = 1.

        Needs ``pipeline(…, embeddings=True)``. Raises the first image's error, and `OptionError`.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded", embeddings=True)
        >>> classifier.embed(np.zeros((64, 64, 3), np.uint8)).shape
        (1, 384)
        """
        if self._runner.embedding is None:
            raise OptionError(
                "embed() needs embeddings; open the pipeline with pipeline(…, embeddings=True)."
            )
        options = {"batch_size": batch_size, "timeout_s": timeout_s}
        _, scoring = self._read_options({name: value for name, value in options.items() if value is not None})
        rows = []
        for outcome in self._run(inputs, scoring):
            if outcome.error is not None:
                raise outcome.error
            assert outcome.embedding is not None
            rows.append(outcome.embedding.mean(axis=0))
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)

    def explain(
        self,
        image: SingleInput,
        label: str | int | None = None,
        *,
        method: Method = "auto",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Which areas of an image changed the score of a label: float32 [height, width].

        The array has the image's own pixels (upright). It is positive where an area raised the label's logit,
        negative where it lowered it, and NaN where the model saw nothing. ``label`` is a label, one of the
        names in it, or its index; by default the best one. `map_score` says which label and method it was.

        If global average pooling feeds the layer that computes the scores, the map is exact and takes one
        run. For other models, and with ``method="occlusion"``, 64 copies of the image with a covered square
        are classified; ``on_progress`` is called with the number of copies done and their total.

        Raises the image's error, and `OptionError` for an unknown label.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded")
        >>> classifier.explain(np.zeros((40, 60, 3), np.uint8), "goldfish").shape
        (40, 60)
        """
        return self.map_score(image, label, method=method, on_progress=on_progress).values

    def map_score(
        self,
        image: SingleInput,
        label: str | int | None = None,
        *,
        method: Method = "auto",
        max_edge: int | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ScoreMap:
        """What `explain` returns, with the label, its score, the method and the image.

        If the image's longer side is above ``max_edge``, the map and the image are made smaller.
        `pictag.explanation.draw_heatmap` draws them.
        """
        self._runners.check_open()
        is_exact_allowed = check_method(method)
        return map_score(
            self._runner,
            self._runner.read(make_source(image)),
            label,
            scorer=self._scorer,
            maps=self._runners.open_maps() if is_exact_allowed else None,
            max_edge=None if max_edge is None else check_count("max_edge", max_edge),
            on_progress=on_progress,
        )

    def preprocess(self, inputs: Any) -> NDArray[np.float32]:
        """The images as the model takes them: float32 [N, C, H, W]; one image gives N = 1."""
        self._runners.check_open()
        runner = self._runner
        several = [inputs] if is_single(inputs) else iterate(inputs)
        pixels = [runner.load(runner.read(make_source(value)))[0] for value in several]
        if not pixels:
            size = self.model.spec.output_size or (0, 0)
            return np.empty((0, self.model.spec.channels, *size), np.float32)
        if len({p.shape for p in pixels}) > 1:
            raise OptionError(
                "This model doesn't resize images to one size, so these don't fit into one array. Preprocess "
                "them one by one."
            )
        return np.concatenate(pixels)

    def forward(self, pixel_values: NDArray[Any]) -> NDArray[np.float32]:
        """Run the model: pixel values [N, C, H, W] in, float32 logits [N, labels] out."""
        self._runners.check_open()
        values = read_numbers(pixel_values)
        if values is None or values.ndim != 4:
            raise OptionError(
                "forward() takes numbers of shape [N, C, H, W], as preprocess() returns; "
                f"this is {describe_value(pixel_values)}."
            )
        if not len(values):
            return np.empty((0, len(self.labels)), np.float32)
        return self._runner.infer(values)[0]

    def postprocess(self, logits: NDArray[Any], **options: Unpack[ScoringKeywords]) -> Any:
        """Labels from logits: [N, labels] gives the result for several images, [labels] for one.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded")
        >>> black = np.zeros((32, 32, 3), np.uint8)
        >>> logits = classifier.forward(classifier.preprocess(black))
        >>> classifier.postprocess(logits) == classifier([black])
        True
        """
        check_names(options, ("top_k", "function_to_apply", "min_score"), what="postprocess()")
        scorer, scoring = self._read_options(options)
        values = read_numbers(logits)
        if values is None or values.ndim not in (1, 2) or values.shape[-1] != len(self.labels):
            raise OptionError(
                f"postprocess() takes logits of shape [N, {len(self.labels)}], as forward() returns; "
                f"this is {describe_value(logits)}."
            )
        as_one = scoring.top_k == 1 and not self.options.always_list
        rows = [Outcome(source="<logits>", logits=row[None]) for row in np.atleast_2d(values)]
        entries = [make_entry(scorer.pick(row), as_one=as_one) for row in rows]
        return entries[0] if values.ndim == 1 else entries

    def close(self) -> None:
        """Release the sessions; calling it again does nothing."""
        self._runners.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        # A progress callback belongs to this process.
        return type(self).open, (replace(self.options, progress=None),)

    def __repr__(self) -> str:
        state = "closed" if self._runners.is_closed else self.engine.name
        return f"<pictag image-classification, model {self.card.name!r}, {len(self.labels)} labels, {state}>"

    if not TYPE_CHECKING:  # with it, a type checker would accept any name

        def __getattr__(self, name):
            raise explain_attribute(self, name)

    def _run(self, inputs: Any, scoring: ScoringOptions) -> Iterable[Outcome]:
        if is_single(inputs):
            return (run_one(self._runners.adapt(self._runner, scoring), as_source(inputs)),)
        return self._runners.run(map(as_source, iterate(inputs)), _count(inputs), scoring)

    def _read_options(self, options: Any) -> tuple[Scorer, ScoringOptions]:
        self._runners.check_open()
        scoring = update_scoring_options(self.options.scoring, options)
        return make_scorer(self.model, scoring), scoring


def _count(inputs: Any) -> int | None:
    return len(inputs) if isinstance(inputs, (list, tuple)) else None
