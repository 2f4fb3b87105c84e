"""The pipeline object: images in, labels out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.engines.choose import THROUGHPUT_MIN_IMAGES
from pictag.errors import OptionError, UnsupportedInput, shorten
from pictag.images import expand, is_single, make_source
from pictag.options import check_min_score, check_top_k, refuse_unknown_options
from pictag.pipelines.model_runner import ModelRunner
from pictag.pipelines.numbers import describe_value, read_numbers
from pictag.pipelines.records import as_source, make_entry, make_record
from pictag.postprocess import activate, choose_activation, pick_labels
from pictag.stream import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from numpy.typing import NDArray

    from pictag.models.card import ModelCard
    from pictag.models.load import Model
    from pictag.pipelines.options import ExecutionOptions
    from pictag.pipelines.sessions import Sessions
    from pictag.records import Label, Prediction


class ImageClassificationPipeline:
    """Says what is in an image. Made by `pictag.pipeline`; may be used from several threads."""

    def __init__(self, model: Model, sessions: Sessions, line: ExecutionOptions) -> None:
        self.model = model
        self.engine = sessions.get("throughput" if line.mode == "throughput" else "latency")
        self._runs = ModelRunner(model, sessions, line, first=self.engine)
        self._sessions = sessions
        self._line = line

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels, by index."""
        return self.model.labels

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self.model.card

    @refuse_unknown_options
    def __call__(
        self,
        inputs: Any,
        *,
        top_k: int | None = 1,
        function_to_apply: str | None = None,
        min_score: float = 0.0,
        batch_size: int | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Classify one image or several.

        Args:
            inputs: An image, or a list, tuple or iterator of images: path, URL, ``data:`` URI, base64
                text, bytes, file object, PIL image or numpy array.
            top_k: How many labels of each image, ``None`` for all.
            function_to_apply: ``"softmax"``, ``"sigmoid"`` or ``"none"``; by default as the model says.
            min_score: Labels with a lower score are left out; 0 leaves nothing out, not even logits below it.
            batch_size: Images in one run of the model.
            timeout_s: Seconds that reading one URL may take, 10 by default.

        Returns:
            One image: a dict ``{"label", "score"}`` for ``top_k=1``, otherwise a list of them.
            Several: a list with one such entry for each. Where ``min_score`` leaves nothing, ``None`` stands
            in place of the dict, or the list is empty.

        Raises:
            InputError: for the first image that cannot be used. `predict` and `stream` go on instead.
            OptionError: for an option of no meaning.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded")
        >>> black = np.zeros((64, 64, 3), np.uint8)
        >>> classifier(black).keys(), len(classifier(black, top_k=3)), len(classifier([black, black]))
        (dict_keys(['label', 'score']), 3, 2)
        """
        scorer = self._scorer(top_k, function_to_apply, min_score)
        single = is_single(inputs)
        entries = []
        several = [inputs] if single else inputs
        for outcome in self._runs.classify(map(as_source, several), _count(several), batch_size, timeout_s):
            if outcome.error is not None:
                raise outcome.error
            entries.append(self._shape(scorer(outcome), top_k))
        return entries[0] if single else entries

    @refuse_unknown_options
    def predict(
        self,
        inputs: Any,
        *,
        top_k: int | None = 1,
        function_to_apply: str | None = None,
        min_score: float = 0.0,
        batch_size: int | None = None,
        timeout_s: float | None = None,
    ) -> list[Prediction]:
        """The call in typed records: always a list, and an image that fails has its ``error`` set.

        >>> from pictag import pipeline
        >>> pipeline(model="embedded").predict("missing.jpg")[0].error.kind
        'ImageNotFound'
        """
        scorer = self._scorer(top_k, function_to_apply, min_score)
        several = [inputs] if is_single(inputs) else inputs
        outcomes = self._runs.classify(map(as_source, several), _count(several), batch_size, timeout_s)
        return [make_record(outcome, scorer) for outcome in outcomes]

    @refuse_unknown_options
    def stream(
        self,
        iterable: Iterable[Any],
        *,
        top_k: int | None = 1,
        function_to_apply: str | None = None,
        min_score: float = 0.0,
        batch_size: int | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[Prediction]:
        """Classify as many images as there are, lazily, in order, in bounded memory.

        Takes what the call takes, and folders and globs, which stand for their images (for those of
        subfolders too, give it ``pictag.images.expand([folder], recursive=True)``). An image that fails is a
        `Prediction` with ``error``; the others go on. Images are read some way ahead: an array or buffer
        that is filled anew for the next one has to be copied.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded")
        >>> [prediction.error.kind for prediction in classifier.stream(["missing.jpg", "missing/*.jpg"])]
        ['ImageNotFound', 'ImageNotFound']
        """
        scorer = self._scorer(top_k, function_to_apply, min_score)
        if is_single(iterable):
            raise UnsupportedInput(
                f"stream() takes several images, folders or globs, and {shorten(repr(iterable))} is one: "
                "put it into a list."
            )
        sources = expand(iterable)
        count = None
        if _count(iterable) is not None:  # it does not wait for its images: folders may hold many
            first = list(itertools.islice(sources, THROUGHPUT_MIN_IMAGES))
            count = len(first)
            sources = itertools.chain(first, sources)
        outcomes = self._runs.classify(sources, count, batch_size, timeout_s)
        return (make_record(outcome, scorer) for outcome in outcomes)

    def preprocess(self, inputs: Any) -> NDArray[np.float32]:
        """What the model is given: float32 [N, C, H, W]; one image gives N = 1."""
        self._sessions.check_open()
        several = [inputs] if is_single(inputs) else inputs
        pixels = [self._runs.load(make_source(value), self._line.fetch) for value in several]
        if not pixels:
            return np.empty(
                (0, self.model.spec.channels, *(self.model.spec.output_size or (0, 0))), np.float32
            )
        if len({p.shape for p in pixels}) > 1:
            raise OptionError(
                "This model's images keep sizes of their own and do not fit one array; "
                "preprocess them one by one."
            )
        return np.stack(pixels)

    def forward(self, pixel_values: NDArray[Any]) -> NDArray[np.float32]:
        """Run the model: pixel values [N, C, H, W] in, float32 logits [N, labels] out."""
        self._sessions.check_open()
        values = read_numbers(pixel_values)
        if values is None or values.ndim != 4:
            raise OptionError(
                "forward() takes numbers of shape [N, C, H, W], as preprocess() gives; "
                f"this is {describe_value(pixel_values)}."
            )
        if not len(values):
            return np.empty((0, len(self.labels)), np.float32)
        return self._runs.infer(self.engine, values)

    @refuse_unknown_options
    def postprocess(
        self,
        logits: NDArray[Any],
        *,
        top_k: int | None = 1,
        function_to_apply: str | None = None,
        min_score: float = 0.0,
    ) -> Any:
        """Labels from logits: [N, labels] gives what the call gives for several images, [labels] for one.

        >>> from pictag import pipeline
        >>> classifier = pipeline(model="embedded")
        >>> black = np.zeros((32, 32, 3), np.uint8)
        >>> logits = classifier.forward(classifier.preprocess(black))
        >>> classifier.postprocess(logits) == classifier([black])
        True
        """
        scorer = self._scorer(top_k, function_to_apply, min_score)
        values = read_numbers(logits)
        if values is None or values.ndim not in (1, 2) or values.shape[-1] != len(self.labels):
            raise OptionError(
                f"postprocess() takes logits of shape [N, {len(self.labels)}], as forward() gives; "
                f"this is {describe_value(logits)}."
            )
        rows = [Outcome(source="<logits>", logits=row) for row in np.atleast_2d(values)]
        entries = [self._shape(scorer(row), top_k) for row in rows]
        return entries[0] if values.ndim == 1 else entries

    def close(self) -> None:
        """Release the session; calling it again does nothing."""
        self._sessions.close()

    def __enter__(self) -> ImageClassificationPipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._sessions.is_closed else self.engine.name
        return f"<pictag image-classification, model {self.card.name!r}, {len(self.labels)} labels, {state}>"

    def _scorer(
        self, top_k: object, function_to_apply: str | None, min_score: object
    ) -> Callable[[Outcome], tuple[Label, ...]]:
        self._sessions.check_open()
        count, floor = check_top_k(top_k), check_min_score(min_score)
        activation = choose_activation(
            function_to_apply,
            problem_type=self.model.problem_type,
            label_count=len(self.labels),
            outputs=self.model.outputs,
        )

        def score(outcome: Outcome) -> tuple[Label, ...]:
            assert outcome.logits is not None
            return pick_labels(
                activate(outcome.logits, activation), self.labels, top_k=count, min_score=floor
            )

        return score

    def _shape(self, labels: tuple[Label, ...], top_k: int | None) -> Any:
        return make_entry(labels, as_one=top_k == 1 and not self._line.always_list)


def _count(inputs: Any) -> int | None:
    return len(inputs) if isinstance(inputs, (list, tuple)) else None
