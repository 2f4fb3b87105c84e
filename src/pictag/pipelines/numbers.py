"""Arrays given to ``forward()`` and ``postprocess()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_numbers(given: Any) -> NDArray[np.float32] | None:
    """An array or nested lists as float32; ``None`` if they aren't numbers, or if the lists' lengths differ.

    >>> read_numbers([[1, 2], [3, 4]]).shape, read_numbers([[1], [2, 3]])
    ((2, 2), None)
    """
    try:
        values = np.asarray(given)
    except ValueError:  # lists of different lengths
        return None
    return values.astype(np.float32, copy=False) if values.dtype.kind in "fiu" else None


def describe_value(given: Any) -> str:
    """A rejected value in a few words, for the message."""
    if isinstance(given, np.ndarray):
        return f"{given.dtype} of shape {list(given.shape)}"
    return f"{type(given).__name__} {shorten(repr(given), 60)}"
