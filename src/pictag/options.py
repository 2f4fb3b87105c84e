"""Checks of option values and option names."""

from __future__ import annotations

import functools
import inspect
import math
import operator
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from pictag.errors import OptionError, UnknownOption, shorten, suggest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsIndex

_DAY_S = 86_400  # anything longer is a mistake, and much longer overflows the system's clocks
P = ParamSpec("P")
R = TypeVar("R")


def refuse_unknown_options(function: Callable[P, R]) -> Callable[P, R]:
    """Make the function raise `UnknownOption` for an unknown option, naming the nearest known one."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                hint = suggest(name, known) or f" The options are: {', '.join(known)}."
                called = "The call" if function.__name__ == "__call__" else f"{function.__name__}()"
                raise UnknownOption(f"{called} has no option {shorten(name)!r}.{hint}")
        return function(*args, **kwargs)

    return checked


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
            f"{name}={shorten(repr(value))} is not a number of seconds above 0 ({_DAY_S:,} at most)."
        )
    return float(value)


def check_folder(name: str, value: object) -> Path:
    """The option as a path; raises `OptionError` for anything else."""
    try:
        return Path(value)  # type: ignore[arg-type]  # raises TypeError if it is not a path
    except TypeError as error:
        raise OptionError(f"{name}={shorten(repr(value))} is not a path.") from error


def _read_index(value: object) -> int | None:
    """A whole number of any integer type, but not ``True`` or ``False``."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(cast("SupportsIndex", value))
    except TypeError:
        return None
