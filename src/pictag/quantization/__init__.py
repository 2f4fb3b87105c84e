"""`quantize_model` converts a float model to calibrated 8-bit integers (extra ``quantize``)."""

from __future__ import annotations

import inspect
import os
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Never

from pictag.engines.quantize_target import TARGETS, find_target
from pictag.errors import (
    MissingExtra,
    ModelFileMissing,
    OptionError,
    QuantizationRejected,
    shorten,
)
from pictag.models.checksums import measure_sha256
from pictag.models.load import LoadOptions, load_model
from pictag.models.output_folder import (
    carry_over,
    check_output,
    folder_of,
    put_in_place,
    staging_folder,
    write_card,
)
from pictag.models.reference import parse_reference
from pictag.options import check_count, check_folder, check_names
from pictag.pipelines.outputs import settle_outputs
from pictag.quantization.artefacts import collect_artefacts, copy_original
from pictag.quantization.calibration import CalibrationOptions, gather_calibration_set
from pictag.quantization.card import make_card
from pictag.quantization.measurement import ENGINES, open_graph
from pictag.quantization.records import MIN_AGREEMENT, Agreement, Artefact, Progress, Report, Skipped, Speed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pictag.models.load import Model
    from pictag.models.reference import ModelRef
    from pictag.options import DownloadProgress
    from pictag.quantization.search import Found

__all__ = ["Agreement", "Artefact", "Progress", "Report", "Skipped", "Speed", "quantize_model"]

_PACKAGES = ("onnx", "nncf", "openvino")


def quantize_model(
    model: str | os.PathLike[str],
    *,
    calibrate: str | os.PathLike[str],
    output: str | os.PathLike[str],
    check: str | os.PathLike[str] | None = None,
    recursive: bool = False,
    most_images: int = 300,
    min_agreement: float = MIN_AGREEMENT,
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
    **unknown: Never,
) -> Report:
    """Quantize a model to 8-bit weights, calibrated with images and checked against the original.

    Args:
        model: The float model: a name on the Hub, a folder, an ``.onnx`` file, or a
            built-in model.
        calibrate: Folder or glob of images that resemble those to be classified; a hundred or more.
        output: The model folder to write. ``pipeline(model=output)`` picks the right file for its engine.
        check: Images to check the agreement with. By default, every fourth image of ``calibrate`` is held
            back for this.
        recursive: Include the images in subfolders.
        most_images: Maximum number of images to calibrate with, spread evenly over the folder; the same
            maximum applies to ``check``.
        min_agreement: Share of images, from 0 to 1, whose best label must stay the same with each engine.
        accept_below: Write the folder even if ``min_agreement`` is not reached.
        keep_original: Also copy the float weights, as ``onnx/model.onnx``.
        overwrite: Replace an output folder that this function wrote before.
        processor: The processor to quantize for: ``"vnni"`` (Intel and AMD with VNNI), ``"x86"`` (without
            VNNI) or ``"arm"``. By default, the one of this machine.
        revision, model_file, cache_dir, local_files_only, token: As for `pictag.pipeline`.
        on_progress: Called with a `Progress` as the work proceeds.
        on_download: Called while the model's files are downloaded.

    Returns:
        The files written, their agreement with the original, and the speed of both.

    Raises:
        QuantizationRejected: The agreement is too low. Nothing is written.
        InvalidModel: The graph can't be quantized: it is already quantized, in float16, or has a fixed batch.
        OptionError: An option is invalid, or there are too few usable images.
        OutputError: The output already exists or can't be written.
        MissingExtra: The extra is not installed: ``pip install 'pictag[quantize]'``.

    Example::

        from pictag import pipeline
        from pictag.quantization import quantize_model

        report = quantize_model("my-model", calibrate="photos", output="my-model-int8")
        assert report.lowest_top1 >= 0.97
        classifier = pipeline(model="my-model-int8")
    """
    check_names(unknown, list(inspect.signature(quantize_model).parameters)[:-1], what="quantize_model()")
    calibration = CalibrationOptions(
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
        raise OptionError(f"min_agreement={shorten(repr(min_agreement))} is not a number from 0 to 1.")
    if processor not in ("auto", *TARGETS):
        raise OptionError(f"processor={shorten(repr(processor))} is not one of auto, {', '.join(TARGETS)}.")
    _check_installed()
    target = find_target() if processor == "auto" else processor
    report_progress = on_progress or (lambda _: None)
    place = check_folder("output", output)
    reference = parse_reference(model, revision=revision)
    sources = (calibration.calibrate, *filter(None, (calibration.check, reference.path)))
    check_output(place, made_by="quantization", overwrite=overwrite, sources=sources)
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
        images = gather_calibration_set(loaded, calibration, work, report_progress)
        found = Search(
            model=loaded,
            graph=graph,
            attention=attention,
            target=target,
            calibration=images.calibration,
            check=images.check,
            threshold=min_agreement,
            folder=work,
            on_progress=report_progress,
        ).find()
        if not accept_below:
            _check_agreement(found, min_agreement)
        report = Report(
            output=place,
            artefacts=collect_artefacts(found, loaded, images.check, target_folder, report_progress),
            original_bytes=loaded.weights.stat().st_size,
            has_attention=attention,
            processor=target,
            calibration_images=len(images.calibration),
            check_images=len(images.check),
            check_held_out=images.held_out,
            skipped=images.skipped,
            threshold=min_agreement,
        )
        carry_over(folder_of(loaded), target_folder)
        if keep_original:
            copy_original(loaded.weights, graph, target_folder)
        card = make_card(loaded, report, calibration, original_sha256=measure_sha256(loaded.weights))
        write_card(target_folder, card)
        put_in_place(target_folder, place)
    return report


def _check_installed() -> None:
    """Raise `MissingExtra` before a model is downloaded."""
    lacking = [name for name in _PACKAGES if find_spec(name) is None]
    if lacking:
        raise MissingExtra(
            f"Quantizing needs the packages {', '.join(_PACKAGES)} (missing: {', '.join(lacking)}): "
            "pip install 'pictag[quantize]'"
        )


def _load(
    reference: ModelRef, options: LoadOptions, on_download: Callable[[DownloadProgress], None] | None
) -> Model:
    try:
        model = load_model(reference, options, on_download)
    except ModelFileMissing:
        if reference.kind != "folder" or options.dtype == "auto":
            raise
        # The only file may have another name; `read_float_graph` checks that it is in float.
        model = load_model(reference, replace(options, dtype="auto"), on_download)
    if model.outputs is None:
        with closing(open_graph("onnxruntime", model.weights, model)) as engine:
            model = settle_outputs(model, engine)
    return model


def _check_agreement(found: Mapping[str, Found], threshold: float) -> None:
    low = {engine: one for engine, one in found.items() if one.agreement.top1 < threshold}
    if not low:
        return
    results = []
    for engine, one in low.items():
        in_float = len(one.candidate.float_nodes)
        how = one.candidate.method + (f", {in_float} nodes in float" if in_float else "")
        results.append(f"{ENGINES[engine]} {one.agreement.top1:.1%} ({how})")
    images = next(iter(low.values())).agreement.images
    raise QuantizationRejected(
        f"The 8-bit model agrees too rarely with the original, so nothing was written. Same best label on "
        f"{images} images: {'; '.join(results)}; required: {threshold:.1%}. Calibrate with more images that "
        "resemble those you will classify, or use --accept-below (accept_below=True)."
    )
