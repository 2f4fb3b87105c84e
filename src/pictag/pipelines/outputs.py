"""Logits or probabilities? Where a graph's operations don't show it, its scores of three fixed images do.

Rows of numbers of 0 or more that sum to 1, and differ between the images, are a softmax's. Numbers outside of
0…1 aren't probabilities. Everything else stays open (independent probabilities look like small logits), and
is an error that names the option: a second softmax would change all scores without a word.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pictag.errors import InvalidModel, shorten
from pictag.preprocess.run import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pictag.engines.base import Engine
    from pictag.models.load import Model
    from pictag.options import Outputs

_SIDE = 96
_ROUNDING = 0.01  # of half precision and 8-bit outputs, summed over a thousand labels
_HOW_TO_SAY = (
    'Say which they are with output="logits" or output="probabilities" (--model-output), or with output in '
    "the model's card.json or pictag.toml."
)


def settle_outputs(model: Model, engine: Engine) -> Model:
    """The model, knowing whether its scores are logits or probabilities; runs the graph if that is still
    open.

    Raises `InvalidModel` if the scores don't show it, and `EngineError` if the graph fails.
    """
    if model.outputs is not None:
        return model
    require_output(model)
    rows = [engine.run(preprocess(image, model.spec)[None])[0] for image in make_images()]
    try:
        outputs, why = judge_scores(np.concatenate(rows))
    except InvalidModel as error:
        raise InvalidModel(f"{shorten(model.weights)}: {error}") from error
    card = replace(model.card, outputs=outputs, outputs_why=why)
    return replace(model, outputs=outputs, card=card)


def require_output(model: Model) -> str:
    """The name of the output with the scores. Raises `InvalidModel` if the graph does not say which it is."""
    if model.output_name is None:
        raise InvalidModel(f"{shorten(model.weights)}: {model.card.outputs_why}")
    return model.output_name


def judge_scores(scores: NDArray[np.float32]) -> tuple[Outputs, str]:
    """What the scores of several images [N, L] are, and why. Raises `InvalidModel` if they don't show it.

    >>> judge_scores(np.array([[0.9, 0.1], [0.3, 0.7]], np.float32))[0]
    'probabilities'
    """
    rows = scores[~np.isnan(scores).any(axis=1)].astype(np.float64)
    if not len(rows):
        raise InvalidModel(f"The graph returned NaN for three test images. {_HOW_TO_SAY}")
    if rows.min() < -_ROUNDING or np.isinf(rows).any():
        return "logits", "its scores of three test images have negative numbers"
    sums = rows.sum(axis=1)
    differ = bool((np.abs(rows - rows[0]) > 1e-6).any())
    if differ and np.allclose(sums, 1, rtol=0, atol=_ROUNDING):
        return "probabilities", "its scores of three test images sum to 1"
    if differ and sums.mean() > 1 and np.allclose(sums, sums.mean(), rtol=_ROUNDING) and rows.shape[1] > 1:
        raise InvalidModel(
            f"The graph's scores of three test images sum to {sums.mean():.4g} each: they are neither logits "
            'nor probabilities from 0 to 1. output="probabilities" takes them as they are.'
        )
    if rows.max() > 1 + _ROUNDING:
        return "logits", "its scores of three test images are above 1"
    raise InvalidModel(
        "The graph's operations don't show whether its scores are logits or probabilities, and its scores of "
        f"three test images don't either: all are from 0 to 1. {_HOW_TO_SAY}"
    )


def make_images() -> tuple[Image.Image, ...]:
    """Three fixed images that differ in colour and texture: a gradient, a checkerboard, and noise.

    >>> [image.size for image in make_images()]
    [(96, 96), (96, 96), (96, 96)]
    """
    y, x = np.indices((_SIDE, _SIDE))
    gradient = np.stack([x * 255 // _SIDE, y * 255 // _SIDE, np.full_like(x, 40)], axis=-1)
    board = np.where(((x // 12 + y // 12) % 2)[..., None], (20, 60, 200), (240, 230, 90))
    noise = np.stack([(x * 7919 + y * 104_729 + c * 31_337) * 2_654_435_761 % 251 for c in range(3)], axis=-1)
    return tuple(Image.fromarray(pixels.astype(np.uint8)) for pixels in (gradient, board, noise))
