"""Measure each engine with each of the model's dtypes, one after the other."""

from __future__ import annotations

import inspect
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Never

from pictag.benchmark.choices import choose_dtypes, choose_engines
from pictag.benchmark.images import check_images, draw_images
from pictag.benchmark.machine import describe_machine
from pictag.benchmark.processes import run_task
from pictag.benchmark.records import Progress, Report, Result
from pictag.benchmark.tasks import ModelTask, Update
from pictag.errors import ModelError, PictagError
from pictag.images import ImageLimits
from pictag.images.folder import choose_images
from pictag.models.reference import DEFAULT_MODEL, parse_reference
from pictag.options import (
    MAX_PIXELS,
    check_count,
    check_folder,
    check_names,
    check_seconds,
    read_pipeline_options,
)
from pictag.pipelines.opening import load
from pictag.records import Failure

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Sequence

    from pictag.models.load import Model
    from pictag.models.reference import ModelRef
    from pictag.options import Decode, DownloadProgress


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
    decode: Decode = "exact",
    batch_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    images: int = 64,
    step_s: float = 1.0,
    recursive: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_download: Callable[[DownloadProgress], None] | None = None,
    **unknown: Never,
) -> Report:
    """Measure a model on this machine.

    Every engine and dtype is measured in its own process, so that memory and warm-up are not shared. Each
    takes about ``6 × step_s``.

    Args:
        model: As for `pictag.pipeline`.
        folder: The images to classify: a folder, a glob or a file. Without it, images are generated.
        engines: ``"onnxruntime"``, ``"openvino"``; by default those that are installed.
        dtypes: Which of the model's weights; by default all that the folder or the Hub's cache has, or
            else the one that ``"auto"`` chooses.
        device: As for `pictag.pipeline`.
        revision: Branch, tag or commit on the Hub.
        cache_dir: Where downloads are kept.
        local_files_only: Never use the network.
        decode: ``"exact"`` or ``"fast"``.
        batch_size: Images per run of the model; by default it is chosen by measurement.
        max_pixels: As for `pictag.pipeline`.
        images: Maximum number of different images, spread evenly over the folder.
        step_s: Approximate duration of each measurement in seconds.
        recursive: Include images in subfolders.
        on_progress: Called with a `Progress` before each step; it contains the report so far.
        on_download: Called while files of the model are downloaded.

    Raises:
        OptionError: for an invalid option.
        MissingExtra: for an engine or a device whose package is not installed.
        ModelError: when the model cannot be found, downloaded or read.
        InputError: when the folder has no usable image.

    If one engine and dtype can't be measured, its result has a ``failure`` and the others are measured.

    >>> from pictag.benchmark import measure
    >>> report = measure("embedded", engines=["onnxruntime"], images=2, step_s=0.01)
    >>> report.is_complete, report.results[0].end_to_end_per_s > 0
    (True, True)
    """
    check_names(unknown, list(inspect.signature(measure).parameters)[:-1], what="measure()")
    step_s = check_seconds("step_s", step_s)
    count = check_count("images", images)
    options = read_pipeline_options(
        {
            "model": DEFAULT_MODEL if model is None else model,
            "device": device,
            "revision": revision,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
            "decode": decode,
            "batch_size": batch_size,
            "max_pixels": max_pixels,
            "progress": on_download,
        }
    )
    reference = parse_reference(DEFAULT_MODEL if model is None else model, revision=revision)
    chosen_engines = choose_engines(engines, device=device)
    if device != "cpu":
        from pictag.engines.onnxruntime import check_installed  # takes 0.2 s to import

        check_installed(device)
    tasks = [
        ModelTask(options=replace(options, engine=engine, dtype=dtype), images=(), step_s=step_s)
        for dtype in choose_dtypes(reference, dtypes, cache_dir=options.cache_dir)
        for engine in chosen_engines
    ]
    place = None if folder is None else check_folder("folder", folder)
    found = None if place is None else choose_images(place, count=count, recursive=recursive)
    spec = _fetch(reference, tasks, require_all=bool(dtypes)).spec
    report = Report(
        model=str(reference),
        revision=reference.revision,
        device=device,
        decode=decode,
        batch_size=options.scoring.batch_size,
        step_s=step_s,
        began_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
    )

    def tell(step: str, number: int) -> None:
        if on_progress is not None:
            on_progress(Progress(step=step, number=number, total=1 + len(tasks), report=report))

    with tempfile.TemporaryDirectory(prefix="pictag-bench-") as scratch:
        given = draw_images(Path(scratch), count) if found is None else found
        tell("checking the images", 1)
        limits = ImageLimits(max_pixels=options.max_pixels)
        usable, facts = check_images(given, spec, limits=limits, folder=None if place is None else str(place))
        report = replace(report, images=facts)
        for number, task in enumerate(tasks, start=2):
            finished = report.results
            # Everything has been downloaded, and a callback can't be sent to another process.
            cached = replace(task.options, local_files_only=True, progress=None)
            with closing(_measure(replace(task, options=cached, images=usable))) as updates:
                for update in updates:
                    report = replace(report, results=(*finished, update.result))
                    if update.next_step is not None:
                        tell(f"{task.options.engine}, {task.options.dtype}: {update.next_step}", number)
    return replace(report, is_complete=True)


def _measure(task: ModelTask) -> Generator[Update, None, None]:
    """The updates of a task with its start time; an error becomes the failure of its result."""
    result = Result(engine=task.options.engine, dtype=task.options.dtype)
    yield Update(result=result, next_step="start")
    started = time.monotonic()
    start_s = None
    try:
        with closing(run_task(task)) as updates:
            for update in updates:
                if start_s is None:
                    start_s = time.monotonic() - started
                result = replace(update.result, start_s=start_s)
                yield replace(update, result=result)
    except PictagError as error:
        failure = Failure(kind=type(error).__name__, message=str(error))
        yield Update(result=replace(result, failure=failure))


def _fetch(reference: ModelRef, tasks: Sequence[ModelTask], *, require_all: bool) -> Model:
    """Download and check the files before anything is measured, and return a model that can be loaded.

    Weights that were not requested by name may be broken: that becomes a failure among the results.
    """
    models: list[Model] = []
    failures: list[ModelError] = []
    for task in tasks:
        try:
            models.append(load(reference, task.options, engine=task.options.engine))
        except ModelError as error:
            failures.append(error)
    if failures and (require_all or not models):
        raise failures[0]
    return models[0]
