"""The front of the line: ``pipeline(task, model=…)``."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pictag.engines.cores import count_cores
from pictag.errors import OptionError, UnknownTask, shorten
from pictag.images import FetchLimits, PictureLimits
from pictag.models.load import LoadOptions, load_model
from pictag.models.reference import DEFAULT_MODEL, parse_reference
from pictag.options import check_count, check_folder, refuse_unknown_options
from pictag.pipeline.classifier import ImageClassificationPipeline
from pictag.pipeline.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.engines.base import Engine
    from pictag.models.load import DownloadProgress, Model

__all__ = ["ImageClassificationPipeline", "pipeline"]

TASKS = ("image-classification",)
ENGINES = ("auto", "onnxruntime", "openvino")
DEFAULT_BATCH_SIZE = 8
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
    batch_size: int = DEFAULT_BATCH_SIZE,
    threads: int | None = None,
    max_pixels: int = PictureLimits().max_pixels,
    decode: Literal["exact", "fast"] = "exact",
    alpha: Literal["drop", "white"] = "drop",
    allow_private_urls: bool = False,
) -> ImageClassificationPipeline:
    """Load a model and get an object that says what is in a picture.

    Args:
        task: ``"image-classification"``, the one task there is.
        model: ``"org/name"`` or ``"org/name@revision"`` on the Hub, a folder, an ``.onnx`` file, or
            ``"embedded"``; by default ``Xenova/vit-base-patch16-224``.
        revision: Branch, tag or commit on the Hub.
        dtype: Which weights: ``auto``, ``fp32``, ``fp16``, ``int8``, ``uint8``, ``q8``, ``q4``, ``q4f16`` or
            ``bnb4``. ``auto`` takes the quantised file on a CPU; ``.card`` says which it was.
        device: ``"cpu"``.
        engine: ``"onnxruntime"`` (what ``"auto"`` takes), ``"openvino"`` (which needs the extra of that
            name), or an object of the `pictag.engines.base.Engine` protocol.
        cache_dir: Where downloads are kept; by default huggingface_hub's own cache.
        local_files_only: Never ask the network.
        token: The Hub's token; by default what ``HF_TOKEN`` or ``hf auth login`` says. ``False`` sends none.
        model_file: A weights file of the model by name, instead of what ``dtype`` chooses.
        progress: Called with a `pictag.models.load.DownloadProgress` while files arrive.
        always_list: Give lists as transformers does: one for a picture, a list of lists for several.
        batch_size: Pictures in one run of the model, where there are several.
        threads: Threads that decode, and those of one run of the model; by default all cores.
        max_pixels: Larger pictures are refused from their header.
        decode: ``"exact"`` agrees with the reference to the bit; ``"fast"`` has large JPEGs scaled down while
            they are decoded, never below twice the size that the model needs.
        alpha: ``"drop"`` transparency as the reference does, or lay the picture on ``"white"``.
        allow_private_urls: Read URLs on private and loopback addresses too.

    Raises:
        UnknownTask: for another task.
        OptionError: for an option of no meaning.
        ModelError: when the model cannot be found, fetched, checked or understood.

    >>> from pictag import pipeline
    >>> with pipeline("image-classification", model="embedded") as classifier:
    ...     len(classifier.labels)
    200
    """
    if task not in TASKS:
        raise UnknownTask(f"Task {shorten(repr(task))} is not known; there is: {', '.join(TASKS)}.")
    if isinstance(engine, str) and engine not in ENGINES:
        raise OptionError(f"engine={shorten(engine)!r} is not known; there are: {', '.join(ENGINES)}.")
    if not isinstance(engine, str) and not callable(getattr(engine, "run", None)):
        raise OptionError(
            f"engine={shorten(repr(engine))} is no engine; give 'auto', or an object of the protocol in "
            "pictag.engines.base.Engine."
        )
    if isinstance(engine, str) and device != "cpu":  # said before a model is downloaded for it
        raise OptionError(f"device={shorten(repr(device))} is not available; pictag runs on device='cpu'.")
    if alpha not in ("drop", "white"):
        raise OptionError(f"alpha={shorten(repr(alpha))} is not known; there are: drop, white.")
    if decode not in ("exact", "fast"):
        raise OptionError(f"decode={shorten(repr(decode))} is not known; there are: exact, fast.")
    line = Line(
        batch_size=check_count("batch_size", batch_size),
        threads=count_cores() if threads is None else check_count("threads", threads, at_most=MAX_THREADS),
        limits=PictureLimits(max_pixels=check_count("max_pixels", max_pixels), alpha=alpha),
        fetch=FetchLimits(allow_private=allow_private_urls),
        fast_decode=decode == "fast",
        always_list=always_list,
    )
    loaded = load_model(
        parse_reference(DEFAULT_MODEL if model is None else model, revision=revision),
        LoadOptions(
            dtype=dtype,
            model_file=model_file,
            cache_dir=None if cache_dir is None else check_folder("cache_dir", cache_dir),
            local_files_only=local_files_only,
            token=token,
            device=device,
        ),
        progress,
    )
    if isinstance(engine, str):
        engine = _open_engine(engine, loaded, threads=line.threads, device=device)
    return ImageClassificationPipeline(loaded, engine, line)


def _open_engine(name: str, model: Model, *, threads: int, device: str) -> Engine:
    # An engine takes a fifth of a second to import: not before the model's files are known to be good.
    module = import_module(f"pictag.engines.{'onnxruntime' if name == 'auto' else name}")
    opened: Engine = module.open_session(model.weights, layout=model.layout, threads=threads, device=device)
    return opened
