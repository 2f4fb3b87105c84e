"""Arrays that callers give to the steps: numbers, whatever they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_numbers(given: Any) -> NDArray[np.float32] | None:
    """The array, or lists of numbers, as float32; ``None`` for what holds no numbers or has no one shape.

    >>> read_numbers([[1, 2], [3, 4]]).shape, read_numbers([[1], [2, 3]])
    ((2, 2), None)
    """
    try:
        values = np.asarray(given)
    except ValueError:  # lists of different lengths
        return None
    return values.astype(np.float32, copy=False) if values.dtype.kind in "fiu" else None


def describe_value(given: Any) -> str:
    """The value in a few words, for a message that it is not what is taken."""
    if isinstance(given, np.ndarray):
        return f"{given.dtype} of shape {list(given.shape)}"
    return f"{type(given).__name__} {shorten(repr(given), 60)}"
