"""Measure one engine with one weights file: start, end-to-end rate, latency and inference rate."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.benchmark.memory import read_peak_memory
from pictag.benchmark.rates import describe_latency, measure_durations, measure_rate
from pictag.benchmark.records import InferenceRate, Result
from pictag.benchmark.tasks import Update
from pictag.engines.cores import count_cores
from pictag.errors import EngineError
from pictag.pipelines import ImageClassificationPipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from pictag.benchmark.tasks import ModelTask
    from pictag.images import Source

    Classifier = ImageClassificationPipeline[Any]

_END_TO_END_PARTS = 3  # the figure that matters most is measured three times as long
_MIN_STREAM_IMAGES = 32  # the first and the last images of a stream don't keep all cores busy
_CPU_BATCHES = (1, 4)  # the sizes that `stream` chooses from
_GPU_BATCHES = (1, 8, 32)


def measure_model(task: ModelTask) -> Iterator[Update]:
    """Load the model, classify one image, then measure; an image that fails ends the measurement.

    The first update follows the first label, so the caller can measure the time from the process's start.
    """
    first, count = task.images[0], len(task.images)
    options = task.options
    with ImageClassificationPipeline[Any].open(options) as classifier:
        classifier(first)
        card = classifier.card
        result = Result(
            engine=options.engine,
            dtype=card.dtype or options.dtype,
            weights=card.weights,
            model_bytes=card.size_bytes,
        )
        yield Update(result=result, next_step="end to end")
        per_s, cpu_share = _measure_end_to_end(classifier, task)
        result = replace(result, end_to_end_per_s=per_s, cpu_share=cpu_share, memory_bytes=read_peak_memory())
        yield Update(result=result, next_step="one image at a time")
        durations = measure_durations(lambda n: classifier(task.images[n % count]), step_s=task.step_s)
        result = replace(result, latency=describe_latency(durations))
        yield Update(result=result, next_step="inference, batch 1")
        pixel_values = classifier.preprocess(first)
        rates = [_measure_inference(classifier, pixel_values, threads=1, step_s=task.step_s)]
    given = options.scoring.batch_size
    default_batches = _CPU_BATCHES if options.device == "cpu" else _GPU_BATCHES
    with ImageClassificationPipeline[Any].open(replace(options, mode="throughput")) as classifier:
        for size in (given,) if given else default_batches:
            yield Update(
                result=replace(result, inference=tuple(rates)),
                next_step=f"inference, batch {size}, {count_cores()} at a time",
            )
            batch = np.repeat(pixel_values, size, axis=0)
            rates.append(_measure_inference(classifier, batch, threads=count_cores(), step_s=task.step_s))
    yield Update(result=replace(result, inference=tuple(rates)))


def _measure_end_to_end(classifier: Classifier, task: ModelTask) -> tuple[float, float]:
    """Images per second through `stream` after a warm-up, and the share of the cores' time it used."""
    _classify_all(classifier, islice(cycle(task.images), _MIN_STREAM_IMAGES))
    started, started_cpu = time.perf_counter(), time.process_time()
    end = started + _END_TO_END_PARTS * task.step_s

    def give() -> Iterator[Source]:
        for number, image in enumerate(cycle(task.images)):
            if number >= _MIN_STREAM_IMAGES and time.perf_counter() >= end:
                return
            yield image

    count = _classify_all(classifier, give())
    elapsed_s = time.perf_counter() - started
    return count / elapsed_s, (time.process_time() - started_cpu) / elapsed_s / count_cores()


def _classify_all(classifier: Classifier, images: Iterable[Source]) -> int:
    """Classify the images and count them. All were readable before, so a failure is an error."""
    count = 0
    for prediction in classifier.stream(images):
        if prediction.error is not None:
            raise EngineError(prediction.error.message)
        count += 1
    return count


def _measure_inference(
    classifier: Classifier, batch: NDArray[np.float32], *, threads: int, step_s: float
) -> InferenceRate:
    per_s = measure_rate(lambda _: classifier.forward(batch), threads=threads, step_s=step_s / 2)
    return InferenceRate(batch_size=len(batch), concurrency=threads, per_s=len(batch) * per_s)
