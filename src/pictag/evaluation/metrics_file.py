"""``metrics.json``: an evaluation as a file, for `pictag compare` and for other programs.

docs/evaluation.md describes the format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag import __version__
from pictag.errors import UnreadableResults, shorten
from pictag.evaluation.estimates import Estimate

if TYPE_CHECKING:
    from pictag.evaluation.figures import ClassFigures, Evaluation

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMetrics:
    """What `pictag compare` needs of a ``metrics.json``.

    ``data`` names the data and its split. ``images`` has, by name, the true labels, the predicted ones, and
    whether they are the same.
    """

    path: Path
    kind: str
    model: str
    data: str
    figures: Mapping[str, Estimate]
    recalls: Mapping[str, Estimate]
    images: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], bool]]


def encode_metrics(found: Evaluation) -> str:
    """The evaluation as JSON text. NaN is ``null``."""
    return json.dumps(describe_evaluation(found), indent=1, allow_nan=False)


def describe_evaluation(found: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON's own types."""
    edges = np.linspace(0, 1, len(found.reliability.counts) + 1).round(6).tolist()
    bins = found.reliability
    return {
        "schema": SCHEMA,
        "pictag": __version__,
        "kind": found.kind,
        "model": dict(found.model),
        "data": dict(found.data),
        "counts": {
            "evaluated": len(found.images),
            "unreadable": len(found.failures),
            "left_out": found.skipped,
        },
        "notes": list(found.notes),
        "figures": {name: _encode(estimate) for name, estimate in found.figures.items()},
        "classes": [_encode_class(figures) for figures in found.classes],
        "confusions": [
            {"truth": truth, "predicted": predicted, "images": count}
            for truth, predicted, count in found.confusions
        ],
        "reliability": [
            {
                "from": low,
                "to": high,
                "images": int(count),
                "mean_score": _number(mean),
                "share_right": _number(share),
            }
            for low, high, count, mean, share in zip(
                edges, edges[1:], bins.counts, bins.mean_score, bins.share_right, strict=False
            )
        ],
        "thresholds": [
            {
                "wanted_accuracy": point.wanted,
                "threshold": point.threshold,
                "accuracy": _encode(point.accuracy),
                "coverage": _encode(point.coverage),
            }
            for point in found.points
        ],
        "concepts": [
            {
                "concept": concept.word,
                "path": list(concept.path),
                "right": _encode(concept.right),
                "as_label": _encode(concept.as_label),
            }
            for concept in found.concepts
        ],
        "failures": [
            {"name": name, "kind": failure.kind, "message": failure.message}
            for name, failure in found.failures
        ],
        "images": [
            {
                "name": image.name,
                "truth": list(image.truth),
                "predicted": list(image.predicted),
                "score": _number(image.score),
                "truth_score": _number(image.truth_score),
                "right": image.is_right,
            }
            for image in found.images
        ],
    }


def to_json(value: Any, *, digits: int | None = None) -> Any:
    """Dataclasses, lists and numbers as JSON's own types, ``None`` for NaN.

    ``digits`` rounds numbers to so many digits after the point.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value), digits=digits)
    if isinstance(value, dict):
        return {key: to_json(entry, digits=digits) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(entry, digits=digits) for entry in value]
    if isinstance(value, float):
        number = _number(value)
        return number if number is None or digits is None else round(number, digits)
    return value


def read_metrics(path: Path) -> SavedMetrics:
    """Read a ``metrics.json``; raises `UnreadableResults`."""
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA:
            raise UnreadableResults(
                f"{shorten(path)} has the schema {shorten(content['schema'], 20)}, but this version of "
                f"pictag reads {SCHEMA}. Write it with 'pictag evaluate' of this version."
            )
        return SavedMetrics(
            path=path,
            kind=str(content["kind"]),
            model=str(content["model"]["name"]),
            data=_name_data(content["data"]),
            figures={name: _decode(value) for name, value in content["figures"].items()},
            recalls={entry["class"]: _decode(entry["recall"]) for entry in content["classes"]},
            images={
                entry["name"]: (tuple(entry["truth"]), tuple(entry["predicted"]), bool(entry["right"]))
                for entry in content["images"]
            },
        )
    except OSError as error:
        if isinstance(error, UnreadableResults):
            raise
        raise UnreadableResults(
            f"Cannot read {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableResults(
            f"{shorten(path)} is not a metrics.json that 'pictag evaluate' wrote: "
            f"{type(error).__name__} {shorten(error, 80)}."
        ) from error


def _name_data(data: Mapping[str, Any]) -> str:
    return str(data["name"]) + (f" ({data['split']})" if data["split"] is not None else "")


def _encode_class(figures: ClassFigures) -> dict[str, Any]:
    return {
        "class": figures.name,
        "labels": list(figures.labels),
        "images": figures.images,
        "predicted": figures.predicted,
        "precision": _encode(figures.precision),
        "recall": _encode(figures.recall),
        "f1": _encode(figures.f1),
        "average_precision": _encode(figures.average_precision),
        "threshold": figures.threshold,
        "best_threshold": figures.best_threshold,
    }


def _encode(estimate: Estimate) -> dict[str, float | int | None]:
    return {
        "value": _number(estimate.value),
        "n": estimate.n,
        "low": _number(estimate.low),
        "high": _number(estimate.high),
    }


def _decode(entry: Mapping[str, Any]) -> Estimate:
    value, low, high = (
        math.nan if entry[key] is None else float(entry[key]) for key in ("value", "low", "high")
    )
    return Estimate(value=value, n=int(entry["n"]), low=low, high=high)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
