"""The lowest score of a suggested keyword. It belongs to a model: ``cuts.json`` has those that were measured.

``python -m benchmarks.keyword_cuts`` measures them, and writes how into the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pictag.models.card import ModelCard

PATH = Path(__file__).with_name("cuts.json")
_UNKNOWN = "not measured for this model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """The lowest score of a label and of a concept; ``how`` says how they were measured.

    ``is_measured`` is False for the cautious cuts of a model that wasn't measured.
    """

    label: float
    concept: float
    how: str
    is_measured: bool = True


def find_cuts(card: ModelCard) -> Cuts:
    """The cuts of a model, by its name or the sha256 of its weights."""
    known = _read()
    found = known.get(card.name) or known.get(card.sha256 or "")
    if found is None:
        return Cuts(**known["other models"] | {"how": _UNKNOWN}, is_measured=False)
    return Cuts(label=found["label"], concept=found["concept"], how=found["how"])


@cache
def _read() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return content
