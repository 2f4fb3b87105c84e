"""Calibrated 8-bit integers: `quantize_model` makes a model folder of one in float (extra ``quantize``)."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from pictag.engines.quantize_target import TARGETS, find_target
from pictag.errors import (
    MissingExtra,
    ModelFileMissing,
    OptionError,
    QuantizationRejected,
    shorten,
)
from pictag.models.load import LoadOptions, load_model
from pictag.models.reference import parse_reference
from pictag.options import check_count, check_folder, refuse_unknown_options
from pictag.quantization.artefacts import collect_artefacts, copy_original, hash_file
from pictag.quantization.calibration import CalibrationOptions, gather_calibration
from pictag.quantization.card import make_card
from pictag.quantization.measurement import ENGINES
from pictag.quantization.output import (
    carry_over,
    check_output,
    folder_of,
    put_in_place,
    staging_folder,
    write_card,
)
from pictag.quantization.records import BAR, Agreement, Artefact, Progress, Report, Skipped, Speed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pictag.models.load import DownloadProgress, Model
    from pictag.models.reference import ModelRef
    from pictag.quantization.search import Found

__all__ = ["Agreement", "Artefact", "Progress", "Report", "Skipped", "Speed", "quantize_model"]

_PACKAGES = ("onnx", "nncf", "openvino")
_MOST_IMAGES = 300


@refuse_unknown_options
def quantize_model(
    model: str | os.PathLike[str],
    *,
    calibrate: str | os.PathLike[str],
    output: str | os.PathLike[str],
    check: str | os.PathLike[str] | None = None,
    recursive: bool = False,
    most_images: int = _MOST_IMAGES,
    min_agreement: float = BAR,
    accept_below: bool = False,
    keep_original: bool = False,
    overwrite: bool = False,
    processor: Literal["auto", "vnni", "x86", "arm"] = "auto",
    revision: str | None = None,
    model_file: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_download: Callable[[DownloadProgress], None] | None = None,
) -> Report:
    """Make 8-bit weights of a model, calibrated with images, and check them against the original.

    Args:
        model: The model in float: a name on the Hub, a folder, an ``.onnx`` file, or ``"embedded"``.
        calibrate: Folder or glob of images like those that will be classified; a hundred or more.
        output: The model folder to write. ``pipeline(model=output)`` takes the right file for its engine.
        check: Images to check the agreement with; by default every fourth of ``calibrate`` is held back.
        recursive: Take the images of subfolders too.
        most_images: Calibrate with so many at most, spread evenly over the folder; likewise to check.
        min_agreement: The share of images whose best label must stay the same, on each engine.
        accept_below: Write the folder even where that share is not reached.
        keep_original: Copy the weights in float too, as ``onnx/model.onnx``.
        overwrite: Replace an output folder that was written by this function before.
        processor: What the weights are for: ``"vnni"``, ``"x86"`` without it, ``"arm"``; by default this
            machine's.
        revision, model_file, cache_dir, local_files_only, token: As for `pictag.pipeline`.
        on_progress: Called with a `Progress` as the work goes on.
        on_download: Called while the model's files arrive.

    Returns:
        What was made, its agreement with the original and its speed beside it.

    Raises:
        QuantizationRejected: where the agreement is too low. Nothing is written then.
        InvalidModel: for a graph that cannot be quantised: quantised already, float16, of a fixed batch.
        OptionError: for an option of no meaning, or too few usable images.
        OutputError: for an output that is there already or cannot be written.
        MissingExtra: without ``pip install 'pictag[quantize]'``.

    An example::

        from pictag import pipeline
        from pictag.quantization import quantize_model

        report = quantize_model("my-model", calibrate="photos", output="my-model-int8")
        assert report.lowest_top1 >= 0.97
        classifier = pipeline(model="my-model-int8")
    """
    wish = CalibrationOptions(
        calibrate=check_folder("calibrate", calibrate),
        check=None if check is None else check_folder("check", check),
        recursive=recursive,
        most=check_count("most_images", most_images),
    )
    if (
        not isinstance(min_agreement, (int, float))
        or isinstance(min_agreement, bool)
        or not 0 <= min_agreement <= 1
    ):
        raise OptionError(f"min_agreement={shorten(repr(min_agreement))} is no share from 0 to 1.")
    if processor not in ("auto", *TARGETS):
        raise OptionError(
            f"processor={shorten(repr(processor))} is not known; there are: auto, {', '.join(TARGETS)}."
        )
    _check_installed()
    target = find_target() if processor == "auto" else processor
    report_progress = on_progress or (lambda _: None)
    place = check_folder("output", output)
    reference = parse_reference(model, revision=revision)
    sources = (wish.calibrate, *filter(None, (wish.check, reference.path)))
    check_output(place, overwrite=overwrite, sources=sources)
    options = LoadOptions(
        dtype="auto" if model_file is not None or reference.kind == "file" else "fp32",
        model_file=model_file,
        cache_dir=None if cache_dir is None else check_folder("cache_dir", cache_dir),
        local_files_only=local_files_only,
        token=token,
    )
    loaded = _load(reference, options, on_download)

    from pictag.engines.quantize_graph import has_attention, read_float_graph
    from pictag.quantization.search import Search

    graph = read_float_graph(loaded.weights)
    attention = has_attention(graph)
    with staging_folder(place) as staging:
        work, target_folder = staging / "work", staging / "model"
        (target_folder / "onnx").mkdir(parents=True)
        work.mkdir()
        material = gather_calibration(loaded, wish, work, report_progress)
        found = Search(
            model=loaded,
            graph=graph,
            attention=attention,
            target=target,
            calibration=material.calibration,
            check=material.check,
            bar=min_agreement,
            folder=work,
            on_progress=report_progress,
        ).find()
        if not accept_below:
            _check_agreement(found, min_agreement)
        report = Report(
            output=place,
            artefacts=collect_artefacts(found, loaded, material.check, target_folder, report_progress),
            original_bytes=loaded.weights.stat().st_size,
            has_attention=attention,
            processor=target,
            calibration_images=len(material.calibration),
            check_images=len(material.check),
            check_held_back=material.held_back,
            skipped=material.skipped,
            bar=min_agreement,
        )
        carry_over(folder_of(loaded), target_folder)
        if keep_original:
            copy_original(loaded.weights, graph, target_folder)
        card = make_card(loaded, report, wish, original_sha256=hash_file(loaded.weights))
        write_card(target_folder, card)
        put_in_place(target_folder, place)
    return report


def _check_installed() -> None:
    """Said before a model is downloaded for it."""
    lacking = [name for name in _PACKAGES if find_spec(name) is None]
    if lacking:
        raise MissingExtra(
            f"Quantising needs the packages {', '.join(_PACKAGES)} ({', '.join(lacking)} is missing): "
            "pip install 'pictag[quantize]'"
        )


def _load(
    reference: ModelRef, options: LoadOptions, on_download: Callable[[DownloadProgress], None] | None
) -> Model:
    try:
        return load_model(reference, options, on_download)
    except ModelFileMissing:
        if reference.kind != "folder" or options.dtype == "auto":
            raise
        # A folder with one file of another name; whether that is in float will be seen.
        return load_model(reference, replace(options, dtype="auto"), on_download)


def _check_agreement(found: Mapping[str, Found], bar: float) -> None:
    low = {engine: one for engine, one in found.items() if one.agreement.top1 < bar}
    if not low:
        return
    said = []
    for engine, one in low.items():
        freed = len(one.candidate.float_nodes)
        how = one.candidate.method + (f", {freed} nodes in float" if freed else "")
        said.append(f"{ENGINES[engine]} {one.agreement.top1:.1%} ({how})")
    images = next(iter(low.values())).agreement.images
    raise QuantizationRejected(
        f"The 8-bit model names the same best label too rarely, so nothing was written. Of {images} "
        f"images: {'; '.join(said)}; wanted {bar:.1%}. Calibrate with more images, of the kind that will "
        "be classified, or say --accept-below (accept_below=True)."
    )
