"""The result of one source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds between submission and the start of the work, for decoding, and as a share of the run."""

    waited_s: float = 0.0
    decode_s: float = 0.0
    run_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The scores of one source, or the error that it failed with.

    ``logits`` are float32 [K, L] and ``embedding`` float32 [K, D]; K is above 1 where one source gives
    several tensors (tiles, frames). ``observed`` is what the runner's ``observe`` returned for the decoded
    image.
    """

    source: str
    logits: NDArray[np.float32] | None = None
    embedding: NDArray[np.float32] | None = None
    observed: Any = None
    error: Exception | None = None
    timing: Timing = Timing()


def capture_error(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns, or the exception that it raised."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - the one place where an image's failure becomes a value
        return error
