"""The loop that the commands for images share: inputs, the pipeline, the sink, progress, exit status."""

from __future__ import annotations

import itertools
import queue
import threading
import warnings
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pictag.cli.describe import describe_run
from pictag.cli.destination import open_destination
from pictag.cli.inputs import Inputs, skip_done
from pictag.cli.interruption import Interrupted, Interruption
from pictag.cli.progress import Progress
from pictag.cli.report import Report
from pictag.pipelines import ImageClassificationPipeline
from pictag.pipelines.results import gives_probabilities
from pictag.pipelines.runners import THROUGHPUT_MIN_IMAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from PIL import Image

    from pictag.cli.destination import Destination
    from pictag.images import Failed, Source
    from pictag.options import PipelineOptions
    from pictag.records import Prediction
    from pictag.sinks import Sink
    from pictag.sinks.resume import DoneSources

    # Opens the sink for a classifier's predictions; with --resume also gives the images that it already has.
    OpenSink = Callable[[ImageClassificationPipeline[Any]], tuple[Sink, DoneSources | None]]
    # Makes the function whose results for the decoded images become the predictions' ``observed``.
    MakeObserver = Callable[[ImageClassificationPipeline[Any], Progress], Callable[[Image.Image], Any]]

LISTED_AHEAD = 100_000  # sources listed before they are needed, so that the progress line knows the total


def classify_images(
    inputs: Inputs,
    options: PipelineOptions,
    destination: Destination,
    *,
    default_model: str | None,
    quiet: bool,
) -> int:
    """Classify all inputs, write the predictions, and return the exit status."""

    def open_sink(classifier: ImageClassificationPipeline[Any]) -> tuple[Sink, DoneSources | None]:
        return open_destination(
            destination,
            percent=gives_probabilities(classifier.model, options.scoring),
            embeddings=options.embeddings or options.embedding_output is not None,
            describe=lambda: describe_run(classifier),
        )

    if options.model is None and default_model is not None:
        options = replace(options, model=default_model)
    return run_images(inputs, options, destination, open_sink, quiet=quiet)


def run_images(
    inputs: Inputs,
    options: PipelineOptions,
    destination: Destination,
    open_sink: OpenSink,
    *,
    make_observer: MakeObserver | None = None,
    quiet: bool,
) -> int:
    """Classify all inputs, write each prediction to the sink, and return the exit status.

    An interruption ends the run between two images; everything that was finished is in the file.
    """
    interruption = Interruption()
    with (
        interruption.listen(),
        closing(Progress(shown=not quiet)) as progress,
        warnings.catch_warnings(),
    ):
        report = Report(destination, progress, quiet=quiet)
        warnings.showwarning = report.show_warning
        progress.draw("Loading the model …")
        # A list of names from a pipe may come slowly, so it isn't waited for.
        rest = inputs.expand()
        first = list(itertools.islice(rest, THROUGHPUT_MIN_IMAGES)) if inputs.countable else []
        is_short = inputs.countable and len(first) < THROUGHPUT_MIN_IMAGES
        options = replace(
            options,
            mode="latency" if is_short else "throughput",
            progress=progress.show_download,
        )
        with ImageClassificationPipeline[Any].open(options) as classifier:
            sink, done = open_sink(classifier)
            try:
                sources: Iterator[Source | Failed] = itertools.chain(first, rest)
                if done is not None:
                    sources = skip_done(sources, done, report.skipped)
                listing = Listing(sources, ahead=LISTED_AHEAD if progress.shown else 0)
                report.begin(classifier.card, listing)
                is_single = is_short and len(first) == 1
                observe = None if make_observer is None else make_observer(classifier, progress)
                # Closing the stream ends its threads now rather than at the next garbage collection.
                with closing(
                    classify_each(classifier, listing, is_single=is_single, observe=observe)
                ) as predictions:
                    for prediction in predictions:
                        with interruption.hold(), report.around(prediction):
                            sink.write(prediction)
            except Interrupted as interrupted:
                raise Interrupted(interrupted.number, report.describe_interruption()) from None
            finally:
                with interruption.hold():  # always finish the file
                    sink.close()
        return report.end()


def classify_each(
    classifier: ImageClassificationPipeline[Any],
    sources: Iterable[Source | Failed],
    *,
    is_single: bool,
    observe: Callable[[Image.Image], Any] | None = None,
) -> Generator[Prediction]:
    """The predictions, one by one; a single image needs no threads."""
    if is_single and observe is None:
        for source in sources:
            yield from classifier.predict(source)
    else:
        yield from classifier.stream(sources, observe=observe)


class Listing:
    """Iterates over sources that a thread lists ``ahead``; ``total`` is their number, once it is known.

    With ``ahead=0`` there is no thread, and the total stays unknown.
    """

    def __init__(self, sources: Iterator[Source | Failed], *, ahead: int) -> None:
        self.total: int | None = None
        self._sources = sources
        self._listed: queue.Queue[Source | Failed | BaseException | None] = queue.Queue(ahead)
        if ahead:
            threading.Thread(target=self._list, name="pictag-listing", daemon=True).start()
            self._sources = self._follow()

    def __iter__(self) -> Iterator[Source | Failed]:
        return self._sources

    def _list(self) -> None:
        count = 0
        try:
            for source in self._sources:
                self._listed.put(source)
                count += 1
            self.total = count
            self._listed.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the sources are used
            self._listed.put(error)

    def _follow(self) -> Iterator[Source | Failed]:
        while (source := self._listed.get()) is not None:
            if isinstance(source, BaseException):
                raise source
            yield source
