"""The whole measurement: images, the machine's limits, then each engine with each of the model's dtypes."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pictag.benchmark.choices import choose_dtypes, choose_engines
from pictag.benchmark.images import choose_images, draw_images
from pictag.benchmark.jobs import Broke, Found, ImageJob, LimitJob, ModelChoice, ModelJob
from pictag.benchmark.judgement import judge
from pictag.benchmark.machine import describe_machine
from pictag.benchmark.processes import run_job
from pictag.benchmark.records import ImageFacts, Limits, Progress, Report, Result
from pictag.errors import EngineError, ModelError, OptionError, PictagError, shorten
from pictag.models.load import load_model
from pictag.models.reference import DEFAULT_MODEL, parse_reference
from pictag.options import check_count, check_folder, check_seconds, refuse_unknown_options
from pictag.records import Failure

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from pictag.benchmark.jobs import Job
    from pictag.images import Failed, Source
    from pictag.models.load import DownloadProgress


@refuse_unknown_options
def measure(
    model: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    *,
    engines: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    device: str = "cpu",
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    decode: Literal["exact", "fast"] = "exact",
    batch_size: int | None = None,
    images: int = 64,
    step_s: float = 1.0,
    recursive: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_download: Callable[[DownloadProgress], None] | None = None,
) -> Report:
    """Measure a model on this machine.

    Every engine with every dtype has a process of its own, so that neither its memory nor its warm-up is
    another's. It takes about ``6 × step_s`` for each of them, and ``5 × step_s`` before.

    Args:
        model: As for `pictag.pipeline`.
        folder: The images to classify: a folder, a glob or a file; drawn by code when left out.
        engines: ``"onnxruntime"``, ``"openvino"``; by default those that are installed.
        dtypes: Which of the model's weights; by default all that a folder has, or that are in the Hub's
            cache, or else the one that ``"auto"`` takes.
        device: As for `pictag.pipeline`. The limits are those of the processor.
        revision: Branch, tag or commit on the Hub.
        cache_dir: Where downloads are kept.
        local_files_only: Never ask the network.
        decode: ``"exact"`` or ``"fast"``.
        batch_size: Images in one run of the model; by default the line chooses.
        images: How many different images at most, spread evenly over the folder.
        step_s: About how many seconds each measurement takes.
        recursive: Take the images of folders within the folder too.
        on_progress: Called with a `Progress` before each step; it has all that is known so far.
        on_download: Called while files of the model arrive.

    Raises:
        OptionError: for an option of no meaning.
        MissingExtra: for an engine or a device whose package is not installed.
        ModelError: when the model cannot be found, fetched or understood.
        InputError: when the folder has no image that can be used.

    What goes wrong with one engine and dtype is the ``failure`` of their result.

    >>> from pictag.benchmark import measure
    >>> report = measure("embedded", engines=["onnxruntime"], images=2, step_s=0.01)
    >>> report.is_complete, report.results[0].end_to_end_per_s > 0
    (True, True)
    """
    step_s = check_seconds("step_s", step_s)
    count = check_count("images", images)
    if batch_size is not None:
        batch_size = check_count("batch_size", batch_size)
    if decode not in ("exact", "fast"):
        raise OptionError(f"decode={shorten(repr(decode))} is not known; there are: exact, fast.")
    reference = parse_reference(DEFAULT_MODEL if model is None else model, revision=revision)
    cache = None if cache_dir is None else check_folder("cache_dir", cache_dir)
    named_engines = choose_engines(engines, device=device)
    if device != "cpu":
        from pictag.engines.onnxruntime import check_installed  # a fifth of a second to import

        check_installed(device)
    choices = [
        ModelChoice(reference=reference, engine=engine, dtype=dtype, cache_dir=cache, device=device)
        for dtype in choose_dtypes(reference, dtypes, cache_dir=cache)
        for engine in named_engines
    ]
    place = None if folder is None else check_folder("folder", folder)
    found = None if place is None else choose_images(place, count=count, recursive=recursive)
    sound = _fetch(choices, local_files_only=local_files_only, all_needed=bool(dtypes), tell=on_download)
    run = _Run(
        Report(
            model=str(reference),
            revision=reference.revision,
            device=device,
            decode=decode,
            batch_size=batch_size,
            step_s=step_s,
            began_at=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=describe_machine(),
        ),
        total=2 + len(choices),
        on_progress=on_progress,
    )
    with _provide(found, count) as given:
        sources = run.measure_images(
            ImageJob(model=sound, images=tuple(given), decode=decode, step_s=step_s),
            folder=None if place is None else str(place),
        )
        run.measure_limits(LimitJob(step_s=step_s))
        for choice in choices:
            run.measure_model(
                ModelJob(
                    model=choice,
                    images=sources,
                    decode=decode,
                    batch_size=batch_size,
                    step_s=step_s,
                )
            )
    return replace(run.report, is_complete=True)


class _Run:
    """Runs one job after the other, and has in ``report`` what is known so far."""

    def __init__(self, report: Report, *, total: int, on_progress: Callable[[Progress], None] | None) -> None:
        self.report = report
        self._total = total
        self._number = 0
        self._on_progress = on_progress

    def measure_images(self, job: ImageJob, *, folder: str | None) -> tuple[Source, ...]:
        """Give the images that can be used."""
        facts: dict[str, Any] = {}
        with closing(self._follow(job, "images")) as found:
            for values, _ in found:
                facts |= values
        sources: tuple[Source, ...] = facts.pop("sources")
        origin: Literal["drawn", "folder"] = "drawn" if folder is None else "folder"
        self.report = replace(self.report, images=ImageFacts(origin=origin, folder=folder, **facts))
        return sources

    def measure_limits(self, job: LimitJob) -> None:
        """What cannot be measured stays ``None``: the models can be measured all the same."""
        limits = Limits()
        with suppress(EngineError), closing(self._follow(job, "limits")) as found:
            for values, _ in found:
                limits = replace(limits, **values)
        self.report = replace(self.report, limits=limits)

    def measure_model(self, job: ModelJob) -> None:
        """Add a result to the report, whether it succeeds or fails."""
        images, limits = self.report.images, self.report.limits or Limits()
        assert images is not None
        result = Result(engine=job.model.engine, dtype=job.model.dtype)
        before = self.report.results
        try:
            with closing(self._follow(job, f"{job.model.engine}, {job.model.dtype}")) as found:
                for values, elapsed_s in found:
                    result = replace(result, **values)
                    if result.start_s is None:
                        result = replace(result, start_s=elapsed_s)
                    judgement = judge(result, images=images, limits=limits, decode=job.decode)
                    result = replace(result, judgement=judgement)
                    self.report = replace(self.report, results=(*before, result))
        except PictagError as error:
            failure = Failure(kind=type(error).__name__, message=str(error))
            self.report = replace(self.report, results=(*before, replace(result, failure=failure)))

    def _follow(self, job: Job, name: str) -> Generator[tuple[Mapping[str, Any], float], None, None]:
        """What the job finds, and how many seconds after its process was started."""
        self._number += 1
        begun = time.monotonic()
        with closing(run_job(job)) as messages:
            for message in messages:
                if isinstance(message, Broke):
                    raise message.error
                if isinstance(message, Found):
                    yield message.values, time.monotonic() - begun
                elif self._on_progress is not None:
                    self._on_progress(
                        Progress(
                            step=f"{name}: {message.step}",
                            number=self._number,
                            total=self._total,
                            report=self.report,
                        )
                    )


def _fetch(
    choices: Sequence[ModelChoice],
    *,
    local_files_only: bool,
    all_needed: bool,
    tell: Callable[[DownloadProgress], None] | None,
) -> ModelChoice:
    """Fetch and check the files before anything is measured, and give a choice whose files are sound.

    A file that nobody asked for may be broken: it will be a failure among the results.
    """
    sound = None
    failed = None
    for choice in choices:
        try:
            load_model(
                choice.reference, replace(choice.load_options, local_files_only=local_files_only), tell
            )
        except ModelError as error:
            if all_needed:
                raise
            failed = failed or error
        else:
            sound = sound or choice
    if sound is None:
        assert failed is not None
        raise failed
    return sound


@contextmanager
def _provide(found: Sequence[Source | Failed] | None, count: int) -> Iterator[Sequence[Source | Failed]]:
    if found is not None:
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="pictag-bench-") as folder:
        yield draw_images(Path(folder), count)
