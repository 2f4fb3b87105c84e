"""The run behind ``pictag classify``: images from the line to the sink, and a person told how it goes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pictag.cli.destination import Destination, open_destination
from pictag.cli.inputs import Inputs, Skipped, skip_done
from pictag.cli.interruption import Interrupted, Interruption
from pictag.cli.progress import Progress
from pictag.cli.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pictag import ImageClassificationPipeline
    from pictag.engines.choose import Mode
    from pictag.images import Failed, Source
    from pictag.records import Prediction
    from pictag.sinks.resume import DoneSources


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Options of the model; None means the library's default."""

    model: str | None
    revision: str | None
    dtype: str
    model_file: str | None
    cache_dir: Path | None
    offline: bool
    batch_size: int | None
    threads: int | None
    device: str
    precision: Literal["f32", "bf16"]
    compiled_cache: Path | None
    max_pixels: int | None
    engine: str
    decode: Literal["exact", "fast"]
    alpha: Literal["drop", "white"]
    allow_private_urls: bool

    def load(self, progress: Progress, *, mode: Mode) -> ImageClassificationPipeline:
        """The pipeline; raises `pictag.errors.ModelError`."""
        from pictag import pipeline
        from pictag.images import ImageLimits

        return pipeline(
            "image-classification",
            self.model,
            revision=self.revision,
            dtype=self.dtype,
            model_file=self.model_file,
            cache_dir=self.cache_dir,
            local_files_only=self.offline,
            mode=mode,
            batch_size=self.batch_size,
            threads=self.threads,
            device=self.device,
            precision=self.precision,
            compiled_cache=self.compiled_cache,
            max_pixels=self.max_pixels or ImageLimits().max_pixels,
            engine=self.engine,
            decode=self.decode,
            alpha=self.alpha,
            allow_private_urls=self.allow_private_urls,
            progress=progress.show_download,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifying:
    """Options of the classification, as `ImageClassificationPipeline.stream` takes them."""

    top_k: int | None
    min_score: float
    function_to_apply: str | None
    timeout_s: float | None

    def stream(
        self, classifier: ImageClassificationPipeline, sources: Iterable[Source | Failed]
    ) -> Iterator[Prediction]:
        """The predictions, one by one."""
        return classifier.stream(
            sources,
            top_k=self.top_k,
            function_to_apply=self.function_to_apply,
            min_score=self.min_score,
            timeout_s=self.timeout_s,
        )

    def gives_percent(self, classifier: ImageClassificationPipeline) -> bool:
        """Whether the scores are probabilities."""
        if classifier.model.outputs == "probabilities":
            return True
        if self.function_to_apply is not None:
            return self.function_to_apply != "none"
        return classifier.model.problem_type != "regression"


def run(
    inputs: Inputs, loading: Loading, classifying: Classifying, destination: Destination, *, quiet: bool
) -> int:
    """Classify all inputs and give the exit status.

    An interruption ends the run between two images, with all that was finished in the file.
    """
    interruption = Interruption()
    with interruption.listen(), closing(Progress(shown=not quiet)) as progress:
        report = Report(destination, progress, quiet=quiet)
        progress.draw("Loading the model …")
        with closing(loading.load(progress, mode=inputs.find_mode())) as classifier:
            classifying.stream(classifier, ())  # refuses options of no meaning before a file is touched
            sink, done = open_destination(destination, percent=classifying.gives_percent(classifier))
            try:
                countable = _images(inputs, done, Skipped()) if inputs.countable else None
                report.begin(classifier.card, countable)
                images = _images(inputs, done, report.skipped)
                with _closing_stream(classifying.stream(classifier, images)) as predictions:
                    for prediction in predictions:
                        with interruption.hold(), report.around(prediction):
                            sink.write(prediction)
            except Interrupted as interrupted:
                raise Interrupted(interrupted.number, report.describe_interruption()) from None
            finally:
                with interruption.hold():  # the file is finished, whatever happens
                    sink.close()
        return report.end()


def _images(inputs: Inputs, done: DoneSources | None, skipped: Skipped) -> Iterator[Source | Failed]:
    images = inputs.expand()
    return images if done is None else skip_done(images, done, skipped)


@contextmanager
def _closing_stream(predictions: Iterator[Prediction]) -> Iterator[Iterator[Prediction]]:
    """End the line's threads on the way out, rather than when the collector comes by."""
    try:
        yield predictions
    finally:
        if isinstance(predictions, Generator):
            predictions.close()
