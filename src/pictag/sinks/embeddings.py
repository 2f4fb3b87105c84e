"""Embeddings as text: JSON lists of float32, with the fewest digits that give the same values back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NOT_FINITE = {"nan": "null", "inf": "3.4028235e+38", "-inf": "-3.4028235e+38"}


def encode_embedding(embedding: NDArray[np.float32]) -> str:
    """The embedding as a JSON list; what is not a number is ``null``, and infinity is 3.4028235e+38.

    >>> import numpy as np
    >>> encode_embedding(np.array([0.1, -2, np.nan], np.float32))
    '[0.1, -2.0, null]'
    """
    numbers = (str(value) for value in embedding)  # of float32; float() first would give 17 digits
    return f"[{', '.join(_NOT_FINITE.get(number, number) for number in numbers)}]"


def decode_embedding(values: Any) -> NDArray[np.float32]:
    """The embedding of a list that was read from JSON; raises ``TypeError`` for anything else."""
    import numpy as np

    if not isinstance(values, list) or not all(
        value is None or type(value) in (int, float) for value in values
    ):
        raise TypeError("the embedding is not a list of numbers")
    try:
        numbers = np.array([math.nan if value is None else value for value in values], np.float64)
    except OverflowError as error:
        raise TypeError("the embedding has a number that is too large") from error
    with np.errstate(over="ignore"):  # to infinity
        return numbers.astype(np.float32)
