"""What is known about a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pictag.models.files import FileFact
from pictag.models.knowledge import Knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known about a model, for people and for logs.

    ``name`` is the reference as it was given and ``kind`` its type (``hub``, ``folder``, ``file``,
    ``built-in``); ``revision`` is the commit. ``weights`` is the path of the chosen file in the model,
    ``dtype`` the one in its name, ``why`` the reason for the choice, and ``sha256`` its checksum.
    ``output_name`` is the graph's output with the scores, ``outputs`` what they are (logits or
    probabilities), and ``outputs_why`` how that is known. ``preprocessing`` has one line per step.
    ``assumptions`` are sentences about what the model's files don't say. ``knowledge`` has the thresholds and
    the temperature, and ``details`` the content of the model's ``card.json``.
    """

    name: str
    kind: str
    revision: str | None
    model_type: str | None
    weights: str
    dtype: str | None
    why: str
    sha256: str | None
    files: tuple[FileFact, ...]
    licence: str | None
    label_count: int
    problem_type: str
    output_name: str | None
    outputs: str | None
    outputs_why: str
    processor: str
    preprocessing: tuple[str, ...]
    notes: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    knowledge: Knowledge = field(default_factory=Knowledge)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """The total size of the files used."""
        return sum(file.size or 0 for file in self.files)
