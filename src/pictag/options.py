"""The options of pipelines and calls: one frozen value each, which validates itself.

The `TypedDict` of the same fields makes ``pipeline(**options: Unpack[PipelineKeywords])`` typed. A new option
is one field in both, and one option in ``cli/options.py``.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Protocol, SupportsIndex, TypedDict, TypeVar, cast, get_args

from pictag import transformers_names
from pictag.errors import OptionError, UnknownOption, shorten, suggest

Activation = Literal["softmax", "sigmoid", "none"]
Alpha = Literal["drop", "white"]
Crop = Literal["model", "whole", "tiles"]
Decode = Literal["exact", "fast"]
Layout = Literal["NCHW", "NHWC"]
Mode = Literal["latency", "throughput"]
Outputs = Literal["logits", "probabilities"]
Precision = Literal["f32", "bf16"]
Quantization = Literal["none", "static", "dynamic"]

ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
ALPHAS: tuple[Alpha, ...] = get_args(Alpha)
CROPS: tuple[Crop, ...] = get_args(Crop)
DECODES: tuple[Decode, ...] = get_args(Decode)
MODES: tuple[Mode, ...] = get_args(Mode)
OUTPUTS: tuple[Outputs, ...] = get_args(Outputs)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

MAX_PIXELS = 178_956_970  # twice Pillow's MAX_IMAGE_PIXELS, above which Pillow raises an error
MAX_THREADS = 1024  # more than any machine has; an engine would start them all
_DAY_S = 86_400  # longer is surely a mistake, and much longer overflows the system's clocks

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """How much of a file has been downloaded, in bytes; ``total`` is ``None`` if it is unknown."""

    file: str
    received: int
    total: int | None


class TorchDevice(Protocol):
    """A ``torch.device``, for type checkers."""

    @property
    def type(self) -> str:
        """``"cpu"`` or ``"cuda"``."""

    @property
    def index(self) -> int | None:
        """The number of the GPU."""


class CallKeywords(TypedDict, total=False):
    """The fields of `ScoringOptions` that don't affect the type of a result."""

    function_to_apply: Activation | None
    min_score: float
    batch_size: int | None
    timeout_s: float | None
    all_scores: bool


class ScoringKeywords(CallKeywords, total=False):
    """The fields of `ScoringOptions`."""

    top_k: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """The options of one call.

    Args:
        top_k: Labels per image, best first; ``None`` for all.
        function_to_apply: ``"softmax"``, ``"sigmoid"`` or ``"none"`` (the raw output); by default what the
            model's files say.
        min_score: Labels with a lower score are left out. 0 keeps all labels, even if scores are negative.
        batch_size: Images per run of the model; by default 1 or 4 on a CPU, whichever is faster for the first
            images. Dynamically quantized models always take one image.
        timeout_s: Time limit for reading one URL, in seconds; by default 10.
        all_scores: Also return the scores of all labels, as `Prediction.scores`.

    Raises:
        OptionError: for an invalid value.
    """

    top_k: int | None = 1
    function_to_apply: Activation | None = None
    min_score: float = 0.0
    batch_size: int | None = None
    timeout_s: float | None = None
    all_scores: bool = False

    def __post_init__(self) -> None:
        _set(self, "top_k", check_top_k(self.top_k))
        _set(self, "min_score", check_min_score(self.min_score))
        if self.function_to_apply is not None:
            if isinstance(self.function_to_apply, str):
                _set(self, "function_to_apply", self.function_to_apply.lower())
            check_choice("function_to_apply", self.function_to_apply, ACTIVATIONS)
        if self.batch_size is not None:
            _set(self, "batch_size", check_count("batch_size", self.batch_size))
        if self.timeout_s is not None:
            _set(self, "timeout_s", check_seconds("timeout_s", self.timeout_s))


class OpenKeywords(CallKeywords, total=False):
    """The fields of `PipelineKeywords` that don't affect the type of a result."""

    revision: str | None
    dtype: Any
    device: str | int | TorchDevice | None
    engine: Any
    cache_dir: str | os.PathLike[str] | None
    local_files_only: bool
    token: str | bool | None
    model_file: str | None
    output: Outputs | None
    output_name: str | None
    progress: Callable[[DownloadProgress], None] | None
    mode: Literal["auto"] | Mode
    threads: int | None
    precision: Precision
    compiled_cache: str | os.PathLike[str] | None
    max_pixels: int
    decode: Decode
    crop: Crop
    alpha: Alpha
    allow_private_urls: bool
    embeddings: bool
    embedding_output: str | None


class PipelineKeywords(OpenKeywords, total=False):
    """The fields of `PipelineOptions`, and those of `ScoringOptions` as the defaults of every call."""

    top_k: int | None
    always_list: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """How a model is found and opened, and how images are read.

    Args:
        model: ``"org/name"`` or ``"org/name@revision"`` on the Hub, a folder, an ``.onnx`` file, or
            a built-in model: ``"embedded"``, ``"efficientnet-lite0"``, ``"efficientnet-lite1"`` or
            ``"efficientnet-lite2"``; by default ``Xenova/vit-base-patch16-224``.
        revision: Branch, tag or commit on the Hub.
        dtype: Which of the model's weights to use: ``fp32``, ``fp16``, ``int8``, ``uint8``, ``q8``, ``q4``,
            ``q4f16`` or ``bnb4``. ``auto`` is ``fp32`` if the model has it; ``.card`` says which file was
            chosen, and why. PyTorch and numpy dtypes are accepted, such as ``torch.float16``.
        device: ``"cpu"``, or, if the extra ``gpu`` is installed, an NVIDIA GPU: ``"cuda"`` or ``"tensorrt"``;
            ``"cuda:1"`` is the second GPU. As in transformers, ``-1`` is the CPU, ``0`` the first GPU, and a
            ``torch.device`` is accepted.
        engine: ``"onnxruntime"``, ``"openvino"`` (which needs the extra of that name), or an object that
            implements the protocol `pictag.engines.base.Engine`. ``"auto"`` is ONNX Runtime, except for
            calibrated 8-bit weights on a CPU with fast instructions for them: those run on OpenVINO, if it is
            installed.
        cache_dir: Where downloads and converted built-in models are kept; by default huggingface_hub's cache
            and pictag's.
        local_files_only: Never use the network for models.
        token: Access token for the Hub; by default that of ``HF_TOKEN`` or ``hf auth login``. With ``False``,
            no token is sent.
        model_file: Name of one of the model's ``.onnx`` files. Replaces ``dtype``.
        output: What the graph returns, ``"logits"`` or ``"probabilities"``; by default pictag finds out from
            the model's files, from its graph, or by running it on three test images.
        output_name: Name of the graph output that holds the scores; by default the one with a matching type,
            shape and name.
        progress: Called with a `DownloadProgress` while files are downloaded.
        always_list: Return lists as transformers does: a list for one image, a list of lists for several.
        mode: ``"latency"`` is faster for few images, ``"throughput"`` for many. ``"auto"`` decides for each
            call: 256 or more images, and iterators of unknown length, run in throughput mode.
        threads: Number of CPU threads; by default one per core.
        precision: ``"bf16"`` makes OpenVINO compute in bfloat16 on CPUs that have it. Float weights then run
            1.5 to 4 times as fast, and scores differ in the third decimal place.
        compiled_cache: A folder where OpenVINO and TensorRT store the compiled model for later runs.
        max_pixels: Images with more pixels are rejected before they are decoded. Above the default, Pillow's
            own limit (`PIL.Image.MAX_IMAGE_PIXELS`) is raised too, for the whole process.
        decode: ``"exact"`` gives the same pixels as transformers, bit for bit. ``"fast"`` scales large JPEGs
            down while they are decoded, but never below twice the size that the model needs.
        crop: What the model sees. ``"model"``: the part that the model's preprocessing cuts out. ``"whole"``:
            the whole image, padded to a square. ``"tiles"``: three squares along the longer side, whose
            scores are averaged.
        alpha: ``"drop"`` ignores transparency, as transformers does. ``"white"`` puts the image on a white
            background.
        allow_private_urls: Also read URLs on this machine and in private networks.
        embeddings: Also return each image's embedding, as `Prediction.embedding`.
        embedding_output: Name of the tensor to use as the embedding; by default the input of the layer that
            computes the scores.
        scoring: The defaults of every call.

    Raises:
        OptionError: for an invalid value.
    """

    model: str | os.PathLike[str] | None = None
    revision: str | None = None
    dtype: str = "auto"
    device: str = "cpu"
    engine: Any = "auto"
    cache_dir: Path | None = None
    local_files_only: bool = False
    # Never shown in messages, nor when the options are printed.
    token: str | bool | None = field(default=None, repr=False)
    model_file: str | None = None
    output: Outputs | None = None
    output_name: str | None = None
    progress: Callable[[DownloadProgress], None] | None = None
    always_list: bool = False
    mode: Literal["auto"] | Mode = "auto"
    threads: int | None = None
    precision: Precision = "f32"
    compiled_cache: Path | None = None
    max_pixels: int = MAX_PIXELS
    decode: Decode = "exact"
    crop: Crop = "model"
    alpha: Alpha = "drop"
    allow_private_urls: bool = False
    embeddings: bool = False
    embedding_output: str | None = None
    scoring: ScoringOptions = field(default_factory=ScoringOptions)

    def __post_init__(self) -> None:
        _set(self, "device", read_device(self.device))
        _set(self, "dtype", read_dtype(self.dtype))
        check_choice("alpha", self.alpha, ALPHAS)
        check_choice("crop", self.crop, CROPS)
        check_choice("decode", self.decode, DECODES)
        check_choice("mode", self.mode, ("auto", *MODES))
        check_choice("precision", self.precision, PRECISIONS)
        if self.output is not None:
            check_choice("output", self.output, OUTPUTS)
        _set(self, "max_pixels", check_count("max_pixels", self.max_pixels))
        if self.threads is not None:
            _set(self, "threads", check_count("threads", self.threads, at_most=MAX_THREADS))
        if self.cache_dir is not None:
            _set(self, "cache_dir", check_folder("cache_dir", self.cache_dir))
        if self.compiled_cache is not None:
            _set(self, "compiled_cache", check_folder("compiled_cache", self.compiled_cache))
        if self.precision != "f32" and self.engine != "openvino":
            raise OptionError(
                f"precision={self.precision!r} needs engine='openvino', "
                f"not engine={shorten(repr(self.engine))}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How an engine opens a graph.

    ``layout`` is what the graph takes; callers always pass [N, C, H, W]. ``threads`` is the number of
    CPU threads, by default one per core: with ``mode="latency"`` they share one run, with ``"throughput"``
    each calling thread has its own run. ``scores`` names the output with the scores; by default the first.
    """

    layout: Layout = "NCHW"
    device: str = "cpu"
    threads: int | None = None
    mode: Mode = "latency"
    precision: Precision = "f32"
    compiled_cache: Path | None = None
    scores: str = ""


def read_pipeline_options(given: Mapping[str, Any]) -> PipelineOptions:
    """Options from the keywords of a call; raises `UnknownOption` and `OptionError`.

    >>> options = read_pipeline_options({"decode": "fast", "top_k": 5})
    >>> options.decode, options.scoring.top_k
    ('fast', 5)
    """
    known = (*_names(PipelineOptions), *_names(ScoringOptions))
    check_names(given, known, what="pipeline()", hints=transformers_names.OPTIONS)
    scoring = {name: value for name, value in given.items() if name in _names(ScoringOptions)}
    own = {name: value for name, value in given.items() if name not in scoring}
    return PipelineOptions(**own, scoring=ScoringOptions(**scoring))


def update_scoring_options(defaults: ScoringOptions, given: Mapping[str, Any]) -> ScoringOptions:
    """The defaults with the keywords of a call; raises `UnknownOption` and `OptionError`."""
    if not given:
        return defaults
    check_names(given, _names(ScoringOptions), what="The call", hints=transformers_names.OPTIONS)
    return replace(defaults, **given)


@cache
def _names(options: type) -> tuple[str, ...]:
    return tuple(option.name for option in fields(options) if option.name != "scoring")


def check_names(
    given: Collection[str], known: Collection[str], *, what: str, hints: Mapping[str, str] | None = None
) -> None:
    """Raise `UnknownOption` for an unknown name, with its hint or the nearest known one."""
    for name in given:
        if name not in known:
            hint = (hints or {}).get(name) or suggest(name, known) or f"The options are: {', '.join(known)}."
            raise UnknownOption(f"{what} has no option {shorten(name)!r}. {hint.lstrip()}")


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """Raise `OptionError` for an unknown value."""
    if value not in known:
        raise OptionError(f"{name}={shorten(repr(value))} is not one of {', '.join(known)}.")


def read_device(device: object) -> str:
    """``device`` as text; transformers also takes the number of a GPU, -1 for the CPU, and ``torch.device``.

    >>> read_device(-1), read_device(0), read_device(None)
    ('cpu', 'cuda:0', 'cpu')
    """
    if device is None:
        return "cpu"
    index = _read_index(device)
    if index is None or index < -1:
        return str(device)
    return "cpu" if index == -1 else f"cuda:{index}"


def read_dtype(dtype: object) -> str:
    """``dtype`` by pictag's name; transformers takes types of PyTorch, or their names.

    Raises `OptionError` for bfloat16, which is a precision and not a file of weights.

    >>> read_dtype("float32"), read_dtype(None)
    ('fp32', 'auto')
    """
    if dtype is None:
        return "auto"
    name = str(getattr(dtype, "__name__", dtype)).removeprefix("torch.")
    if name == "bfloat16":
        raise OptionError(
            "dtype='bfloat16' is not a dtype of ONNX weights. To compute in bfloat16, use engine='openvino' "
            "and precision='bf16'."
        )
    return transformers_names.DTYPES.get(name, name)


def check_top_k(top_k: object) -> int | None:
    """``top_k`` as a number of labels, ``None`` for all; raises `OptionError` for anything else.

    >>> check_top_k(5)
    5
    """
    if top_k is None:
        return None
    count = _read_index(top_k)
    if count is None:
        raise OptionError(
            f"top_k={shorten(repr(top_k))} is not a whole number. Use 1 or more, or None for all labels."
        )
    if count < 1:
        raise OptionError(f"top_k={shorten(repr(count))} is below 1. Use 1 or more, or None for all labels.")
    return count


def check_min_score(min_score: object) -> float:
    """``min_score`` as a finite number; raises `OptionError` for anything else."""
    if isinstance(min_score, bool) or not isinstance(min_score, Real) or not math.isfinite(min_score):
        raise OptionError(
            f"min_score={shorten(repr(min_score))} is not a finite number. Use a number such as 0.5."
        )
    return float(min_score)


def check_count(name: str, value: object, *, at_most: int | None = None) -> int:
    """The option as a whole number of 1 or more; raises `OptionError` for anything else."""
    count = _read_index(value)
    if count is None or count < 1:
        raise OptionError(f"{name}={shorten(repr(value))} is not a whole number of 1 or more.")
    if at_most is not None and count > at_most:
        raise OptionError(f"{name}={shorten(repr(value))} is above the maximum of {at_most:,}.")
    return count


def check_seconds(name: str, value: object) -> float:
    """The option as a number of seconds above 0, at most a day; raises `OptionError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= _DAY_S:
        raise OptionError(
            f"{name}={shorten(repr(value))} is not a number of seconds above 0 and up to {_DAY_S:,}."
        )
    return float(value)


def check_folder(name: str, value: object) -> Path:
    """The option as a path; raises `OptionError` for anything else."""
    try:
        return Path(value)  # type: ignore[arg-type]  # raises TypeError if it is not a path
    except TypeError as error:
        raise OptionError(f"{name}={shorten(repr(value))} is not a path.") from error


def _set(options: object, name: str, value: object) -> None:
    """Store a checked value in a frozen dataclass that is being made."""
    object.__setattr__(options, name, value)


def _read_index(value: object) -> int | None:
    """A whole number of any integer type, but not ``True`` or ``False``."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(cast("SupportsIndex", value))
    except TypeError:
        return None
