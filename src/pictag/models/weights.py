"""Choose one of a model's ``.onnx`` files."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pictag.errors import ModelFileMissing, OptionError, shorten, suggest

# dtype → the suffix of "model" in the file's name, as in transformers.js and the Hub's ONNX models.
SUFFIXES = {
    "fp32": "",
    "fp16": "_fp16",
    "int8": "_int8",
    "uint8": "_uint8",
    "q8": "_quantized",
    "q4": "_q4",
    "q4f16": "_q4f16",
    "bnb4": "_bnb4",
}
# A file for one engine: `pictag quantize` writes model_quantized_openvino.onnx.
OPENVINO_SUFFIX = "_openvino"
AUTO = "auto"
DTYPES = (AUTO, *SUFFIXES)

# Float32 first, so that scores agree with transformers. Of the others, 8-bit integers are fastest on a CPU,
# and half precision on a GPU, which is slow with integers.
_PREFERENCE = {
    "cpu": ("fp32", "q8", "int8", "uint8", "fp16", "q4", "q4f16", "bnb4"),
    "cuda": ("fp32", "fp16", "q8", "int8", "uint8", "q4f16", "q4", "bnb4"),
}
_Q8 = "q8 is a quarter of the size and often faster, but how accurate it is depends on the model"
_FOLDERS = ("onnx/", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen weights: ``path`` in the model, ``dtype`` if it is in the name, ``why`` in words."""

    path: str
    dtype: str | None
    why: str


def check_dtype(dtype: str) -> None:
    """Raise `OptionError` for a dtype that does not exist, with a suggestion."""
    if dtype not in DTYPES:
        raise OptionError(
            f"Unknown dtype {shorten(dtype, 60)!r}. The dtypes are {', '.join(DTYPES)}."
            f"{suggest(dtype, DTYPES)}"
        )


def choose_weights(
    files: Iterable[str],
    *,
    model: str,
    dtype: str = AUTO,
    model_file: str | None = None,
    device: str = "cpu",
    engine: str = "onnxruntime",
) -> Choice:
    """Choose the weights from a model's ``files`` (paths in the model, with ``/``).

    ``engine="openvino"`` prefers a file that was made for it over another of the same dtype.

    Raises `ModelFileMissing`, which names the ``.onnx`` files that exist, or `OptionError`.

    >>> choose_weights(["onnx/model.onnx", "onnx/model_quantized.onnx"], model="org/name").path
    'onnx/model.onnx'
    """
    check_dtype(dtype)
    onnx = sorted(name for name in files if name.lower().endswith(".onnx"))
    if model_file is not None:
        return _choose_named(onnx, model, dtype, model_file)
    if not onnx:
        raise ModelFileMissing(
            f"{shorten(model)} has no .onnx file. Export it first, for example with "
            f"'optimum-cli export onnx --task image-classification --model {shorten(model)} FOLDER', "
            "or look for a variant with an onnx folder."
        )
    if dtype != AUTO:
        found = _find(onnx, dtype, engine)
        if found is None:
            raise ModelFileMissing(
                f"{shorten(model)} has no weights of dtype {dtype} (model{SUFFIXES[dtype]}.onnx). "
                f"{_existing(onnx)}"
            )
        return Choice(path=found, dtype=dtype, why=f"dtype {dtype} was requested")
    return _choose_automatically(onnx, model, device, engine)


def dtype_of(path: str) -> str | None:
    """The dtype in a file's name, or ``None``.

    >>> dtype_of("onnx/model_q4f16.onnx"), dtype_of("model_quantized_openvino.onnx"), dtype_of("vit.onnx")
    ('q4f16', 'q8', None)
    """
    stem = PurePosixPath(path).stem.removesuffix(OPENVINO_SUFFIX)
    return next((dtype for dtype, suffix in SUFFIXES.items() if stem == f"model{suffix}"), None)


def is_inside(path: str) -> bool:
    """Whether a path with ``/`` stays inside the model: relative, and without ``..``, drives or backslashes.

    >>> is_inside("onnx/model.onnx"), is_inside("../model.onnx"), is_inside("/etc/passwd")
    (True, False, False)
    """
    if not path or "\\" in path or "\x00" in path or ":" in path or path.startswith(("/", "~")):
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def _find(onnx: Collection[str], dtype: str, engine: str) -> str | None:
    own = (OPENVINO_SUFFIX, "") if engine == "openvino" else ("",)
    names = (f"{folder}model{SUFFIXES[dtype]}{suffix}.onnx" for folder in _FOLDERS for suffix in own)
    return next((name for name in names if name in onnx), None)


def _existing(onnx: Collection[str]) -> str:
    listed = ", ".join(f"{shorten(name, 80)} ({dtype_of(name) or 'no dtype in the name'})" for name in onnx)
    return f"It has {shorten(listed, 600)}."


def _choose_named(onnx: list[str], model: str, dtype: str, model_file: str) -> Choice:
    if dtype != AUTO:
        raise OptionError("Use either dtype or model_file, not both: each chooses the weights.")
    if not is_inside(model_file):
        raise OptionError(
            f"model_file={shorten(model_file)!r} is outside of the model. Give a path inside it."
        )
    for name in (model_file, f"onnx/{model_file}"):
        if name in onnx:
            return Choice(path=name, dtype=dtype_of(name), why="this file was requested")
    raise ModelFileMissing(f"{shorten(model)} has no weights {shorten(model_file)!r}. {_existing(onnx)}")


def _choose_automatically(onnx: list[str], model: str, device: str, engine: str) -> Choice:
    order = _PREFERENCE["cpu" if device == "cpu" else "cuda"]
    found = {dtype: path for dtype in order if (path := _find(onnx, dtype, engine))}
    if found:
        chosen, *others = found
        where = "a CPU" if device == "cpu" else device
        reason = f"preferred to {', '.join(others)} on {where}" if others else "the only dtype"
        if chosen == "fp32" and "q8" in others:
            reason += f" ({_Q8})"
        return Choice(path=found[chosen], dtype=chosen, why=f"{chosen} is {reason}")
    if len(onnx) == 1:
        return Choice(path=onnx[0], dtype=None, why="it is the only .onnx file")
    raise ModelFileMissing(
        f"{shorten(model)} has several .onnx files, and none has a standard name (model.onnx, "
        f"model_quantized.onnx, …). {_existing(onnx)} Choose one with model_file."
    )
