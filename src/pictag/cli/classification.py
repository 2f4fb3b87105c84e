"""The run behind ``pictag classify``: images from the pipeline to the sink, with progress on stderr."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pictag.cli.destination import Destination, open_destination
from pictag.cli.inputs import Inputs, Skipped, skip_done
from pictag.cli.interruption import Interrupted, Interruption
from pictag.cli.progress import Progress
from pictag.cli.report import Report
from pictag.postprocess import choose_activation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from pictag import ImageClassificationPipeline
    from pictag.images import Failed, Source
    from pictag.records import Prediction
    from pictag.sinks.resume import DoneSources


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Options that `ImageClassificationPipeline.stream` takes."""

    top_k: int | None
    min_score: float
    function_to_apply: str | None
    timeout_s: float | None

    def stream(
        self, classifier: ImageClassificationPipeline, sources: Iterable[Source | Failed]
    ) -> Generator[Prediction]:
        """The predictions, one by one."""
        predictions = classifier.stream(
            sources,
            top_k=self.top_k,
            function_to_apply=self.function_to_apply,
            min_score=self.min_score,
            timeout_s=self.timeout_s,
        )
        return cast("Generator[Prediction]", predictions)

    def gives_percent(self, classifier: ImageClassificationPipeline) -> bool:
        """Whether the scores are probabilities."""
        model = classifier.model
        activation = choose_activation(
            self.function_to_apply, problem_type=model.problem_type, label_count=len(model.labels)
        )
        return model.outputs == "probabilities" or activation != "none"


def run(
    inputs: Inputs,
    load: Callable[..., ImageClassificationPipeline],
    scoring: Scoring,
    destination: Destination,
    *,
    quiet: bool,
) -> int:
    """Classify all inputs and return the exit status.

    ``load`` is `pictag.pipeline` with its options, apart from ``mode`` and ``progress``. An interruption ends
    the run between two images; everything that was finished is in the file.
    """
    interruption = Interruption()
    with interruption.listen(), closing(Progress(shown=not quiet)) as progress:
        report = Report(destination, progress, quiet=quiet)
        progress.draw("Loading the model …")
        with closing(load(mode=inputs.find_mode(), progress=progress.show_download)) as classifier:
            scoring.stream(classifier, ())  # rejects invalid options before a file is touched
            sink, done = open_destination(destination, percent=scoring.gives_percent(classifier))
            try:
                countable = _images(inputs, done, Skipped()) if inputs.countable else None
                report.begin(classifier.card, countable)
                images = _images(inputs, done, report.skipped)
                # Closing the stream ends its threads now rather than at the next garbage collection.
                with closing(scoring.stream(classifier, images)) as predictions:
                    for prediction in predictions:
                        with interruption.hold(), report.around(prediction):
                            sink.write(prediction)
            except Interrupted as interrupted:
                raise Interrupted(interrupted.number, report.describe_interruption()) from None
            finally:
                with interruption.hold():  # always finish the file
                    sink.close()
        return report.end()


def _images(inputs: Inputs, done: DoneSources | None, skipped: Skipped) -> Iterator[Source | Failed]:
    images = inputs.expand()
    return images if done is None else skip_done(images, done, skipped)
