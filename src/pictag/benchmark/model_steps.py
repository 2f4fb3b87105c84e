"""One engine with one of the model's weights files: start, line, latency and inference."""

from __future__ import annotations

import time
from itertools import cycle, islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from pictag.benchmark.jobs import Began, Found
from pictag.benchmark.memory import read_peak_memory
from pictag.benchmark.rates import describe_latency, measure_durations, measure_rate
from pictag.benchmark.records import InferenceRate
from pictag.benchmark.work import count_work
from pictag.engines.cores import count_cores
from pictag.errors import EngineError, shorten
from pictag.pipelines import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pictag.benchmark.jobs import Message, ModelJob
    from pictag.images import Source
    from pictag.pipelines import ImageClassificationPipeline

_LINE_PARTS = 3  # the whole line is the figure that counts: it is measured so many times as long
_LEAST_IMAGES = 32  # through the line: the first and the last few do not keep all cores busy
_BATCHES = {"cpu": (1, 4)}  # what the line chooses from, by itself
_DEVICE_BATCHES = (1, 8, 32)


def measure_model(job: ModelJob) -> Iterator[Message]:
    """Load, classify one image, then measure. Whatever keeps an image from being classified is raised."""
    yield Began(step="start")
    first = job.images[0]
    with _load(job, "auto") as classifier:
        classifier(first)
        card = classifier.card
        # Whoever reads this knows when the process began, and so what a start takes.
        yield Found(
            values={
                "dtype": card.dtype or job.model.dtype,
                "weights": card.weights,
                "model_bytes": card.size_bytes,
            }
        )
        yield Began(step="whole line")
        end_to_end_per_s, cpu_share = _measure_line(classifier, job)
        yield Found(
            values={
                "end_to_end_per_s": end_to_end_per_s,
                "cpu_share": cpu_share,
                "memory_bytes": read_peak_memory(),
            }
        )

        yield Began(step="one image at a time")
        count = len(job.images)
        durations = measure_durations(lambda n: classifier(job.images[n % count]), step_s=job.step_s)
        yield Found(values={"latency": describe_latency(durations)})

        yield Began(step="inference")
        pixel_values = classifier.preprocess(first)
        rates = [_measure_inference(classifier, pixel_values, runs=1, step_s=job.step_s)]
        yield Found(values={"inference": tuple(rates)})
    with _load(job, "throughput") as classifier:
        for size in [job.batch_size] if job.batch_size else _BATCHES.get(job.model.device, _DEVICE_BATCHES):
            batch = np.repeat(pixel_values, size, axis=0)
            rates.append(_measure_inference(classifier, batch, runs=count_cores(), step_s=job.step_s))
            yield Found(values={"inference": tuple(rates)})
        model = classifier.model
    if job.model.device == "cpu":
        yield Began(step="counting multiply-adds")
        yield Found(values={"work": count_work(model.weights, shape=pixel_values.shape, layout=model.layout)})


def _load(job: ModelJob, kind: Literal["auto", "throughput"]) -> ImageClassificationPipeline:
    choice, reference = job.model, job.model.reference
    return pipeline(
        model=reference.name if reference.path is None else reference.path,
        revision=reference.revision,
        dtype=choice.dtype,
        device=choice.device,
        engine=choice.engine,
        mode=kind,
        cache_dir=choice.cache_dir,
        local_files_only=True,
        batch_size=job.batch_size,
        decode=job.decode,
    )


def _measure_line(classifier: ImageClassificationPipeline, job: ModelJob) -> tuple[float, float]:
    """Images a second through `stream`, from the first to the last, after some that do not count.

    Beside it, the part of the cores' time that it took.
    """
    _classify_all(classifier, islice(cycle(job.images), _LEAST_IMAGES))
    begun, begun_cpu = time.perf_counter(), time.process_time()
    end = begun + _LINE_PARTS * job.step_s

    def give() -> Iterator[Source]:
        for number, image in enumerate(cycle(job.images)):
            if number >= _LEAST_IMAGES and time.perf_counter() >= end:
                return
            yield image

    done = _classify_all(classifier, give())
    elapsed_s = time.perf_counter() - begun
    return done / elapsed_s, (time.process_time() - begun_cpu) / elapsed_s / count_cores()


def _classify_all(classifier: ImageClassificationPipeline, images: Iterator[Source]) -> int:
    """How many there were. They were all usable before, so one that fails ends the measurement."""
    done = 0
    for done, prediction in enumerate(classifier.stream(images), start=1):  # noqa: B007 - the last number counts
        if prediction.error is not None:
            raise EngineError(f"{shorten(prediction.source)}: {prediction.error.message}")
    return done


def _measure_inference(
    classifier: ImageClassificationPipeline, batch: NDArray[np.float32], *, runs: int, step_s: float
) -> InferenceRate:
    per_s = measure_rate(lambda _: classifier.forward(batch), threads=runs, step_s=step_s / 2)
    return InferenceRate(batch_size=len(batch), runs=runs, per_s=len(batch) * per_s)
