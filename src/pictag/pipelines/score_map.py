"""Which areas of an image changed a label's score: class activation maps, and occlusion.

ONNX Runtime has no gradients. Where global average pooling feeds the layer that computes the scores, the map
is exact and takes one run (`pictag.models.class_map`). Any other graph is explained by occlusion
(`pictag.pipelines.occlusion`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from pictag.errors import EngineError, OptionError, shorten, suggest
from pictag.execution import Outcome
from pictag.pipelines.occlusion import occlude
from pictag.postprocess import activate, pick_labels
from pictag.preprocess.crop import find_views
from pictag.preprocess.view import View
from pictag.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pictag.engines.base import Engine
    from pictag.execution import ModelRunner
    from pictag.images import Source
    from pictag.models.class_map import ClassMap
    from pictag.pipelines.occlusion import OnProgress
    from pictag.pipelines.results import Scorer

Method = Literal["auto", "occlusion"]
METHODS: tuple[Method, ...] = ("auto", "occlusion")
_MAX_DIFFERENCE = 0.05  # of the scores' range: 8-bit rounding is below 0.5 %, another head far above


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreMap:
    """Which areas of an image changed the score of a label.

    ``values`` are float32 [height, width] for the image's own pixels: positive where an area raised the
    logit, negative where it lowered it, NaN where the model saw nothing. With the method "activation", their
    mean over what the model saw plus the label's bias is the logit (but for the interpolation between
    positions). With "occlusion", a value is the mean drop of the logit when squares over that place are
    covered. ``image`` is the image, RGB and upright.
    """

    label: Label
    values: NDArray[np.float32]
    method: Literal["activation", "occlusion"]
    image: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapSession:
    """A session that also returns the graph's feature map."""

    engine: Engine
    class_map: ClassMap


def map_score(
    runner: ModelRunner,
    source: Source,
    label: str | int | None = None,
    *,
    scorer: Scorer,
    maps: MapSession | None,
    max_edge: int | None = None,
    on_progress: OnProgress | None = None,
) -> ScoreMap:
    """The map of one label (by default the best one) for an image, which is decoded exactly.

    If the image's longer side is above ``max_edge``, the map is made for a smaller copy. A map takes 12 bytes
    of memory per pixel. With ``maps=None``, occlusion is used. ``on_progress(done, total)`` counts its runs.
    Raises the image's error, `OptionError` for an unknown label, and `EngineError`.
    """
    labels = runner.model.labels
    index = None if label is None else find_label(labels, label)
    pixel_values, image = replace(runner, decode="exact", observe=_keep).load(source)
    logits, features = _run(runner, pixel_values, maps)
    scores = scorer.score(Outcome(source=source.name, logits=logits))
    best = pick_labels(scores, labels, top_k=None)  # raises for scores that are not numbers
    shown = best[0] if index is None else next(found for found in best if found.index == index)
    views = find_views(image.size[::-1], runner.model.spec, runner.crop)
    if maps is not None and features is not None:
        grids = [maps.class_map.weigh(one, shown.index) for one in features]
    else:
        grids = occlude(runner, pixel_values, logits, shown.index, on_progress)
    if not all(np.isfinite(grid).all() for grid in grids):
        raise EngineError("The model returned NaN or infinity, so there is no map for this image.")
    if max_edge is not None and max(image.size) > max_edge:
        full = image.size[::-1]
        image = image.copy()
        image.thumbnail((max_edge, max_edge), Image.Resampling.LANCZOS)
        whole = View(top=0, left=0, bottom=image.height, right=image.width)
        views = tuple(whole.magnify(view, full) for view in views)
    values = _place(grids, views, image.size[::-1])
    method: Literal["activation", "occlusion"] = "occlusion" if features is None else "activation"
    return ScoreMap(label=shown, values=values, method=method, image=image)


def find_label(labels: Sequence[str], asked: str | int) -> int:
    """The index of a label, given by its index, its text, or one of the names in it.

    Raises `OptionError` for an unknown label, and for a name that several labels have.

    >>> find_label(("tabby, tabby cat", "tiger cat"), "Tabby cat")
    0
    """
    if isinstance(asked, str) and asked not in labels and asked.isascii() and asked.isdecimal():
        asked = int(asked)
    if not isinstance(asked, str):
        if isinstance(asked, bool) or not 0 <= asked < len(labels):
            raise OptionError(
                f"label={shorten(repr(asked))} is not an index: the model has the labels 0 to "
                f"{len(labels) - 1:,}."
            )
        return int(asked)
    wanted = asked.strip().casefold()
    found = [index for index, label in enumerate(labels) if label.casefold() == wanted] or [
        index for index, label in enumerate(labels) if wanted in label.casefold().split(", ")
    ]
    if not found:
        names = (name for label in labels for name in (label, *label.split(", ")))
        hint = suggest(asked, names) or " 'pictag models inspect MODEL --labels' lists its labels."
        raise OptionError(f"The model has no label {shorten(repr(asked), 100)}.{hint}")
    if len(found) > 1:
        indices = ", ".join(map(str, found[:5]))
        raise OptionError(
            f"{len(found)} labels have the name {shorten(repr(asked), 100)}. Use an index: {indices}."
        )
    return found[0]


def _keep(image: Image.Image) -> Image.Image:
    return image


def _run(
    runner: ModelRunner, pixel_values: NDArray[np.float32], maps: MapSession | None
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]] | None]:
    """The logits [K, L], and the feature maps if the logits can be computed from these."""
    if maps is not None:
        # A feature map with several rows for one image is an error.
        with suppress(EngineError):
            logits, features = maps.engine.run(pixel_values)
            ordered = [maps.class_map.order(one, len(runner.model.labels)) for one in features]
            found = [one for one in ordered if one is not None]
            if len(found) == len(logits) and all(
                _agrees(maps.class_map.compute_logits(one), row)
                for one, row in zip(found, logits, strict=True)
            ):
                return logits, found
    return runner.infer(pixel_values)[0], None


def _agrees(logits: NDArray[np.float32], scores: NDArray[np.float32]) -> bool:
    """Whether the graph's scores [L] are these logits, or their softmax or sigmoid."""
    if logits.shape != scores.shape:
        return False
    tolerance = _MAX_DIFFERENCE * max(float(np.ptp(scores)), float(np.abs(scores).max()))
    return any(
        np.abs(activate(logits[None], activation)[0] - scores).max() <= tolerance
        for activation in ("none", "softmax", "sigmoid")
    )


def _place(
    grids: Sequence[NDArray[np.float32]], views: Sequence[View], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The grids in the image's size [height, width]: the mean where they overlap, NaN outside of them."""
    total, count = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for grid, view in zip(grids, views, strict=True):
        rows, y = _interpolate(grid.shape[0], view.top, view.bottom, size[0])
        columns, x = _interpolate(grid.shape[1], view.left, view.right, size[1])
        total[y, x] += rows @ grid @ columns.T
        count[y, x] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def _interpolate(cells: int, start: float, end: float, pixels: int) -> tuple[NDArray[np.float32], slice]:
    """The share of each cell in the pixels [n, cells] between ``start`` and ``end``, and where these are."""
    centres = np.arange(pixels) + 0.5
    inside = np.flatnonzero((centres >= start) & (centres <= end))
    if not len(inside):  # less than a pixel is seen
        inside = np.array([min(pixels - 1, max(0, int((start + end) / 2)))])
    place = (centres[inside] - start) / (end - start) * cells - 0.5
    distance = np.abs(np.clip(place, 0, cells - 1)[:, None] - np.arange(cells))
    near = np.maximum(0, 1 - distance)
    share = near * near * (3 - 2 * near)  # smooth, and the shares of two neighbours still sum to 1
    return share.astype(np.float32), slice(int(inside[0]), int(inside[-1]) + 1)


def check_method(method: Any) -> bool:
    """Whether the method allows an exact map. Raises `OptionError` for an unknown one."""
    if method not in METHODS:
        raise OptionError(f"method={shorten(repr(method))} is not one of {', '.join(METHODS)}.")
    return bool(method == "auto")
