"""The front of the line: ``pipeline(task, model=…)``."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Literal

from pictag.engines.choose import ENGINES, MODES
from pictag.engines.cores import count_cores
from pictag.engines.providers import check_device
from pictag.errors import OptionError, UnknownTask, shorten
from pictag.images import FetchLimits, ImageLimits
from pictag.models.load import LoadOptions, load_model
from pictag.models.reference import DEFAULT_MODEL, parse_reference
from pictag.options import check_count, check_folder, refuse_unknown_options
from pictag.pipelines.classifier import ImageClassificationPipeline
from pictag.pipelines.options import ExecutionOptions
from pictag.pipelines.sessions import EngineOptions, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.engines.base import Engine
    from pictag.models.load import DownloadProgress, Model

__all__ = ["ImageClassificationPipeline", "pipeline"]

TASKS = ("image-classification",)
PRECISIONS = ("f32", "bf16")
MAX_THREADS = 1024  # beyond any machine; an engine would try to start them all


@refuse_unknown_options
def pipeline(
    task: str = "image-classification",
    model: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "cpu",
    engine: str | Engine = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    model_file: str | None = None,
    progress: Callable[[DownloadProgress], None] | None = None,
    always_list: bool = False,
    mode: Literal["auto", "latency", "throughput"] = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    precision: Literal["f32", "bf16"] = "f32",
    compiled_cache: str | os.PathLike[str] | None = None,
    max_pixels: int = ImageLimits().max_pixels,
    decode: Literal["exact", "fast"] = "exact",
    alpha: Literal["drop", "white"] = "drop",
    allow_private_urls: bool = False,
) -> ImageClassificationPipeline:
    """Load a model and get an object that says what is in an image.

    Args:
        task: ``"image-classification"``, the one task there is.
        model: ``"org/name"`` or ``"org/name@revision"`` on the Hub, a folder, an ``.onnx`` file, or
            ``"embedded"``; by default ``Xenova/vit-base-patch16-224``.
        revision: Branch, tag or commit on the Hub.
        dtype: Which weights: ``auto``, ``fp32``, ``fp16``, ``int8``, ``uint8``, ``q8``, ``q4``, ``q4f16`` or
            ``bnb4``. ``auto`` takes the quantised file on a CPU; ``.card`` says which it was.
        device: ``"cpu"``, or with the extra ``gpu`` an NVIDIA card: ``"cuda"``, ``"tensorrt"``, and with
            the number of one of several cards ``"cuda:1"``.
        engine: ``"onnxruntime"``, ``"openvino"`` (which needs the extra of that name), or an object of the
            `pictag.engines.base.Engine` protocol. ``"auto"`` takes OpenVINO for many images where it is
            installed and the weights are calibrated 8-bit integers, and otherwise ONNX Runtime.
        cache_dir: Where downloads are kept; by default huggingface_hub's own cache.
        local_files_only: Never ask the network.
        token: The Hub's token; by default what ``HF_TOKEN`` or ``hf auth login`` says. ``False`` sends none.
        model_file: A weights file of the model by name, instead of what ``dtype`` chooses.
        progress: Called with a `pictag.models.load.DownloadProgress` while files arrive.
        always_list: Give lists as transformers does: one for an image, a list of lists for several.
        mode: ``"latency"`` for one image at a time, ``"throughput"`` for many. ``"auto"`` decides for each
            call: 256 or more images, and iterators of unknown length, run in throughput mode.
        batch_size: Images in one run of the model, where there are many; by default chosen by measurement
            on the first of them, between 1 and 4.
        threads: Threads that share the run for one image; for many, each thread loads images and runs
            the model on its own. By default one for each core, and more where they wait for URLs.
        precision: ``"bf16"`` has OpenVINO compute in bfloat16, where the processor has it: about twice as
            fast with weights in float, and scores differ in the third decimal.
        compiled_cache: A folder where OpenVINO and TensorRT keep the compiled graph for the next start.
        max_pixels: Larger images are refused from their header, and very thin ones before resizing makes
            them larger.
        decode: ``"exact"`` agrees with the reference to the bit; ``"fast"`` has large JPEGs scaled down while
            they are decoded, never below twice the size that the model needs, and does not resize what is
            cropped away.
        alpha: ``"drop"`` transparency as the reference does, or lay the image on ``"white"``.
        allow_private_urls: Read URLs on private and loopback addresses too.

    Raises:
        UnknownTask: for another task.
        OptionError: for an option of no meaning.
        MissingExtra: for an engine or a device whose packages are not installed.
        ModelError: when the model cannot be found, fetched, checked or understood.

    >>> from pictag import pipeline
    >>> with pipeline("image-classification", model="embedded") as classifier:
    ...     len(classifier.labels)
    200
    """
    if task not in TASKS:
        raise UnknownTask(f"Task {shorten(repr(task))} is not known; there is: {', '.join(TASKS)}.")
    if isinstance(engine, str):
        _check_choice("engine", engine, ENGINES)
        _check_device(device, engine)
    elif not callable(getattr(engine, "run", None)):
        raise OptionError(
            f"engine={shorten(repr(engine))} is no engine; give 'auto', or an object of the protocol in "
            "pictag.engines.base.Engine."
        )
    _check_choice("alpha", alpha, ("drop", "white"))
    _check_choice("decode", decode, ("exact", "fast"))
    _check_choice("mode", mode, ("auto", *MODES))
    _check_choice("precision", precision, PRECISIONS)
    if precision != "f32" and engine != "openvino":
        raise OptionError(f"precision={precision!r} is OpenVINO's; say engine='openvino' with it.")
    if threads is not None:
        threads = check_count("threads", threads, at_most=MAX_THREADS)
    if batch_size is not None:
        batch_size = check_count("batch_size", batch_size)
    limits = ImageLimits(max_pixels=check_count("max_pixels", max_pixels), alpha=alpha)
    options = LoadOptions(
        dtype=dtype,
        model_file=model_file,
        cache_dir=None if cache_dir is None else check_folder("cache_dir", cache_dir),
        local_files_only=local_files_only,
        token=token,
        device=device,
        engine=engine if engine == "openvino" else "onnxruntime",
    )
    ref = parse_reference(DEFAULT_MODEL if model is None else model, revision=revision)
    loaded = load_model(ref, options, progress)
    line = ExecutionOptions(
        batch_sizes=_choose_batch_sizes(batch_size, loaded.quantization, device),
        workers=threads,
        cores=threads or count_cores(),
        mode=mode,
        limits=limits,
        fetch=FetchLimits(allow_private=allow_private_urls),
        fast_decode=decode == "fast",
        always_list=always_list,
    )

    def load_for(name: str) -> Model:
        # An engine may have weights of its own, which are found, or fetched, when it is first needed.
        same = name == options.engine or loaded.quantization == "none"
        return loaded if same else load_model(ref, dataclasses.replace(options, engine=name), progress)

    sessions = Sessions(
        loaded,
        EngineOptions(
            engine=engine,
            device=device,
            threads=line.cores,
            precision=precision,
            compiled_cache=None if compiled_cache is None else check_folder("compiled_cache", compiled_cache),
        ),
        load_for,
    )
    return ImageClassificationPipeline(loaded, sessions, line)


def _check_device(device: str, engine: str) -> None:
    """Said before a model is downloaded for it."""
    check_device(device, engine)
    if device != "cpu":
        from pictag.engines.onnxruntime import check_installed

        check_installed(device)


def _choose_batch_sizes(asked: int | None, quantization: str, device: str) -> tuple[int, ...]:
    if asked is not None:
        return (asked,)
    if quantization == "dynamic":
        return (1,)  # the ranges span the whole batch: an image's scores would depend on its neighbours
    return (1, 4) if device == "cpu" else (1, 8, 32)


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(f"{name}={shorten(repr(value))} is not known; there are: {', '.join(known)}.")
