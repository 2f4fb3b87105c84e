"""What is known about a model beyond its files: thresholds of labels, the temperature of its scores, its
output.

Each value comes from the first of these that has it:

1. the card: ``card.json`` in the model's folder; for models on the Hub and built-in ones, whose files are
   never changed, ``cards/<sha256 of the weights>.json`` in pictag's data folder,
2. ``pictag.toml`` in the model's folder,
3. the key ``"pictag"`` of ``config.json``.

    {"thresholds": {"cat": 0.6, "dog": 0.35}, "temperature": 1.3, "output": "logits", "output_name": "scores"}
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pictag.errors import InvalidModel, shorten, suggest
from pictag.models.files import CARD, CONFIG, read_optional_json
from pictag.models.folder import SETTINGS
from pictag.models.standalone_onnx import read_settings_file
from pictag.options import OUTPUTS

if TYPE_CHECKING:
    from pictag.models.files import ModelFiles
    from pictag.models.reference import ModelRef
    from pictag.options import Outputs

KEYS = ("thresholds", "temperature", "output", "output_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """``thresholds`` by label, ``temperature`` by which logits are divided, and the file of each value.

    ``output`` says whether the graph returns logits or probabilities, ``output_name`` which output has them.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    output: Outputs | None = None
    output_name: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


def read_knowledge(
    ref: ModelRef, files: ModelFiles, config: Mapping[str, Any], *, sha256: str | None, labels: Sequence[str]
) -> Knowledge:
    """Read what is known about a model. Raises `InvalidModel`, which names the file and the value."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for where, content in _list_sources(ref, files, config, sha256):
        for key in KEYS:
            if content.get(key) is not None and key not in values:
                values[key], sources[key] = content[key], where
    return Knowledge(
        thresholds=_read_thresholds(values.get("thresholds", {}), sources.get("thresholds", ""), labels),
        temperature=_read_temperature(values.get("temperature", 1.0), sources.get("temperature", "")),
        output=_read_output(values.get("output"), sources.get("output", "")),
        output_name=_read_output_name(values.get("output_name"), sources.get("output_name", "")),
        sources=sources,
    )


def find_card_file(ref: ModelRef, folder: Path, sha256: str | None) -> Path | None:
    """The file of a model's card, whether or not it exists.

    ``None`` for a model of unknown sha256, and if the user has no home folder or may not read it, as in some
    containers.
    """
    if ref.kind in ("folder", "file"):
        return folder / CARD
    if sha256 is None:
        return None
    import platformdirs

    try:
        path = platformdirs.user_data_path("pictag", appauthor=False) / "cards" / f"{sha256}.json"
        path.is_file()
    except (RuntimeError, PermissionError):
        return None
    return path


def _list_sources(
    ref: ModelRef, files: ModelFiles, config: Mapping[str, Any], sha256: str | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    card = find_card_file(ref, files.folder, sha256)
    if card is not None:
        yield str(card), read_optional_json(card) or {}
    if ref.kind in ("folder", "file"):
        settings = files.folder / SETTINGS
        yield str(settings), read_settings_file(settings)
    nested = config.get("pictag")
    yield f'"pictag" in {CONFIG}', nested if isinstance(nested, Mapping) else {}


def _read_thresholds(given: Any, where: str, labels: Sequence[str]) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise InvalidModel(f"thresholds in {shorten(where)} is {shorten(given, 60)!r}, not a table by label.")
    for label, threshold in given.items():
        if label not in labels:
            raise InvalidModel(
                f"thresholds in {shorten(where)} names {shorten(label, 60)!r}, which is not a label of the "
                f"model.{suggest(str(label), labels)}"
            )
        if not _is_number(threshold):
            raise InvalidModel(
                f"The threshold of {shorten(label, 60)!r} in {shorten(where)} is {shorten(threshold, 60)!r}, "
                "not a finite number."
            )
    return {label: float(threshold) for label, threshold in given.items()}


def _read_temperature(given: Any, where: str) -> float:
    if not _is_number(given) or given <= 0:
        raise InvalidModel(
            f"temperature in {shorten(where)} is {shorten(given, 60)!r}, not a finite number above 0."
        )
    return float(given)


def _read_output(given: Any, where: str) -> Outputs | None:
    if given is not None and given not in OUTPUTS:
        raise InvalidModel(
            f"output in {shorten(where)} is {shorten(given, 60)!r}; it is one of {', '.join(OUTPUTS)}."
        )
    return cast("Outputs | None", given)


def _read_output_name(given: Any, where: str) -> str | None:
    if given is not None and not isinstance(given, str):
        raise InvalidModel(f"output_name in {shorten(where)} is {shorten(given, 60)!r}, not text.")
    return given


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
