"""The minimum cosine of near duplicates. It depends on the model: ``cuts.json`` has the measured values.

``python -m benchmarks.near_cuts`` measures them, and records the method in the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("cuts.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineCut:
    """Two images whose embeddings have at least this ``cosine`` are near duplicates.

    ``is_measured`` is False for the cautious cut of another model.
    """

    cosine: float
    is_measured: bool = True


def find_cosine_cut(*names: str | None) -> CosineCut:
    """The cut of a model, by its name or the sha256 of its weights.

    >>> find_cosine_cut("org/unknown", None)
    CosineCut(cosine=0.95, is_measured=False)
    """
    known = _read()
    for name in names:
        if name in known:
            return CosineCut(cosine=known[name]["cosine"])
    return CosineCut(cosine=known["other models"]["cosine"], is_measured=False)


@cache
def _read() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return content
