"""The protocol of engines, and the check of a graph's input against the model's files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pictag.errors import EngineError, InvalidModel, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pictag.options import EngineOptions, Layout

FLOATS = ("float32", "float16", "float64")  # the types that numpy has too, so not bfloat16 or float8


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """A graph's input or output. ``None`` in ``shape`` is a dynamic dimension."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Engine(Protocol):
    """A session that runs one graph. ``run`` may be called from several threads."""

    @property
    def name(self) -> str:
        """The engine and where it runs, such as ``onnxruntime (cpu)``."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The graph's inputs."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The graph's own outputs, without those that the session was opened for."""

    def run(self, pixel_values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run the graph on ``pixel_values`` [N, C, H, W].

        Returns float32 arrays: the scores [N, labels], then the outputs that the session was opened for,
        [N, ...].
        """

    def close(self) -> None:
        """Release the session; calling it again does nothing."""


def name_scores(options: EngineOptions, outputs: Sequence[TensorInfo]) -> str:
    """The output that ``options`` names as that with the scores, by default the first."""
    if not outputs:
        raise InvalidModel("The graph has no outputs.")
    return options.scores or outputs[0].name


def check_graph(
    inputs: Sequence[TensorInfo],
    *,
    channels: int,
    size: tuple[int, int] | None,
    layout: str = "NCHW",
) -> None:
    """Raise `InvalidModel` if the graph takes other images than preprocessing makes.

    ``size`` is the (height, width) that preprocessing produces, ``None`` if it varies by image.
    The message names both values.
    """
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].dtype not in FLOATS:
        found = ", ".join(f"{i.name}{list(i.shape)} {i.dtype}" for i in inputs) or "none"
        raise InvalidModel(
            f"An image classifier's graph takes one 4-D float input ({', '.join(FLOATS)}); this one takes: "
            f"{found}. Export the model for image classification."
        )
    shape = inputs[0].shape
    graph_channels, graph_size = (shape[1], shape[2:]) if layout == "NCHW" else (shape[3], shape[1:3])
    if graph_channels not in (None, channels):
        raise InvalidModel(
            f"The graph's input {inputs[0].name}{list(shape)} ({layout}) takes {graph_channels} channels, "
            f"but preprocessing makes {channels}."
        )
    if size is not None and any(g not in (None, s) for g, s in zip(graph_size, size, strict=True)):
        raise InvalidModel(
            f"The graph's input {inputs[0].name}{list(shape)} ({layout}) takes images of "
            f"{graph_size[0]}×{graph_size[1]} (height×width), but preprocessing makes {size[0]}×{size[1]}."
        )


def to_layout(
    pixel_values: NDArray[np.float32], *, layout: Layout, dtype: np.dtype[Any] | None
) -> NDArray[Any]:
    """Convert pixel values [N, C, H, W] to the graph's layout and type, contiguous in memory."""
    values = pixel_values if layout == "NCHW" else pixel_values.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(values, dtype=dtype)


def run_in_chunks(
    values: NDArray[Any],
    *,
    fixed: int | None,
    names: Sequence[str],
    run: Callable[[NDArray[Any]], Sequence[NDArray[Any]]],
) -> tuple[NDArray[np.float32], ...]:
    """Scores as float32 [N, labels] and other outputs as float32 [N, ...], from as many runs as are needed.

    ``names`` are those of the outputs, the scores first. A graph with a ``fixed`` batch runs once per chunk
    of that size; the last chunk is padded with zeros. Raises `EngineError` if an output doesn't have one row
    per image.
    """
    if fixed is None or fixed == len(values):
        return _as_rows(run(values), len(values), names)
    chunks = []
    for start in range(0, len(values), fixed):
        chunk = values[start : start + fixed]
        missing = fixed - len(chunk)
        if missing:
            chunk = np.concatenate([chunk, np.zeros((missing, *chunk.shape[1:]), chunk.dtype)])
        chunks.append([output[: fixed - missing] for output in _as_rows(run(chunk), fixed, names)])
    return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))


def _as_rows(
    outputs: Sequence[NDArray[Any]], count: int, names: Sequence[str]
) -> tuple[NDArray[np.float32], ...]:
    scores, *others = outputs
    is_plain = scores.ndim == 2 and len(scores) == count
    rows = scores.shape if is_plain else _find_rows(scores.shape, count)
    if rows is None:
        raise _wrong_shape(
            names[0], scores, count, "Export it with a dynamic batch size, or with batch_size=1."
        )
    for name, output in zip(names[1:], others, strict=True):
        if output.ndim < 2 or len(output) != count:
            advice = "An embedding has one row per image; name another tensor with embedding_output=."
            raise _wrong_shape(name, output, count, advice)
    return scores.astype(np.float32, copy=False).reshape(rows), *(
        output.astype(np.float32, copy=False) for output in others
    )


def _find_rows(shape: tuple[int, ...], count: int) -> tuple[int, int] | None:
    """The shape [N, labels] of scores that may have more dimensions of 1; ``None`` if it is another one.

    [N, 1, L], [N, L, 1, 1], and [L] for a batch of one, have the same numbers in the same order.
    """
    sides = shape[1:] if shape[:1] == (count,) else shape if count == 1 else None
    if sides is None or sum(side != 1 for side in sides) > 1:
        return None
    return count, math.prod(sides)


def _wrong_shape(name: str, output: NDArray[Any], count: int, advice: str) -> EngineError:
    return EngineError(
        f"The graph returned {shorten(name)!r} of shape {list(output.shape)} for {count} images. {advice}"
    )
