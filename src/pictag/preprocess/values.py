"""Reads and validates single values of a model's configuration.

Configurations are untrusted input, so the limits here keep a file from requesting gigabytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pictag.errors import InvalidModel, shorten
from pictag.preprocess.steps import RESAMPLE_NAMES, Resample

MAX_EDGE = 4096
"""The maximum edge in a configuration: 4096² with three channels of float32 is 200 MB."""

MAX_NUMBER = 1e6
MIN_DIVISOR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values of one configuration file; ``file`` is its name for messages."""

    file: str
    values: Mapping[str, object]

    def error(self, key: str, value: object, problem: str) -> InvalidModel:
        """The error for an invalid value: the file, the key, the value, and what it must be."""
        return InvalidModel(f"{self.file}: {key!r} is {shorten(repr(value), 80)}, but {problem}.")

    def get(self, key: str) -> object:
        """The value of a key; ``None`` if it is missing or null."""
        return self.values.get(key)

    def find(self, keys: Sequence[str]) -> str:
        """The first of these keys that has a value, else the first of all."""
        return next((key for key in keys if self.get(key) is not None), keys[0])


def read_flag(settings: Settings, key: str, default: bool) -> bool:
    """A flag: true or false (or 1 and 0). If the key is missing, the default; null is false, as in Python."""
    if key not in settings.values:
        return default
    value = settings.values[key]
    if value is None:
        return False
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise settings.error(key, value, "must be true or false")


def check_edge(settings: Settings, key: str, value: object, limit: int = MAX_EDGE) -> int:
    """A length in pixels, from 1 to ``limit``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        raise settings.error(key, value, f"must be a whole number of pixels from 1 to {limit}")
    return value


def check_numbers(
    settings: Settings, key: str, value: object, *, count: int, nonzero: bool = False
) -> tuple[float, ...]:
    """``count`` finite numbers. One number applies to all channels; three equal ones suit a grey model."""
    numbers: list[float] = []
    for number in value if isinstance(value, list | tuple) else [value]:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise settings.error(key, value, "must be a number, or a list of numbers")
        if not math.isfinite(number) or abs(number) > MAX_NUMBER:
            raise settings.error(key, value, f"must be finite, and at most {MAX_NUMBER:g}")
        if nonzero and abs(number) < MIN_DIVISOR:
            raise settings.error(key, value, "must not be zero")
        numbers.append(float(number))
    if len(numbers) == 1:
        numbers *= count
    elif count == 1 and len(set(numbers)) == 1:
        numbers = numbers[:1]
    if len(numbers) != count:
        raise settings.error(key, value, f"must have one number for each of the {count} channel(s)")
    return tuple(numbers)


def read_numbers(
    settings: Settings,
    keys: tuple[str, ...],
    default: tuple[float, ...],
    *,
    count: int,
    nonzero: bool = False,
) -> tuple[float, ...]:
    """The numbers under the first of ``keys`` that has a value, or the default."""
    key = settings.find(keys)
    value = settings.get(key)
    return check_numbers(
        settings, key, list(default) if value is None else value, count=count, nonzero=nonzero
    )


def read_share(settings: Settings, key: str, default: float) -> float:
    """The share of the resized image to keep, such as ``crop_pct``, from 0.05 to 2."""
    value = settings.get(key)
    (share,) = check_numbers(settings, key, default if value is None else value, count=1)
    if not 0.05 <= share <= 2:
        raise settings.error(key, value, "must be from 0.05 to 2")
    return share


def read_resample(settings: Settings, key: str, default: Resample) -> Resample:
    """A resampling filter: Pillow's code from 0 to 5, or its name."""
    value = settings.get(key)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(RESAMPLE_NAMES):
        return RESAMPLE_NAMES[value]
    if isinstance(value, str):
        name = value.rpartition(".")[2].lower()
        if name in RESAMPLE_NAMES:
            return name
    raise settings.error(key, value, f"must be a code from 0 to 5, or one of {', '.join(RESAMPLE_NAMES)}")
